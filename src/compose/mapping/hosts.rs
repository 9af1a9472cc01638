//! Host names in a text: where it dials `name:port`, and where it only names a host.

use crate::api::Protocol;

/// A name in a text that dials it, or has it where a host stands: a word that only happens to be a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit<'t> {
    /// The name, as the text has it.
    pub host: &'t str,
    /// The port that is dialled; none if the text names the host alone.
    pub port: Option<u16>,
    /// By the scheme, or by ports that are nearly always UDP.
    pub protocol: Protocol,
    /// As `tasks.NAME`: the addresses of all containers.
    pub is_every: bool,
}

/// Bytes around a name that say what it is: a longer text takes no more time for each of its names.
const NEAR: usize = 2048;

/// Finds names in `text`; `knows` says which words are names. One pass: every word is looked up once.
pub(super) fn scan<'t>(text: &'t str, knows: impl Fn(&str) -> bool) -> Vec<Hit<'t>> {
    let mut hits: Vec<Hit<'t>> = Vec::new();
    let mut before = "";
    let mut open = None; // a host without a port, in this line
    let mut end = 0;
    let bytes = text.as_bytes();
    let whole = text.trim();
    let is_list = whole.len() <= NEAR && is_list(whole);
    while let Some(start) = (end..bytes.len()).find(|at| bytes.get(*at).is_some_and(|byte| is_word(*byte))) {
        if text.get(end..start).is_none_or(|between| between.contains('\n')) {
            (before, open) = ("", None);
        }
        end = (start..bytes.len()).find(|at| bytes.get(*at).is_none_or(|b| !is_word(*b))).unwrap_or(bytes.len());
        let Some(word) = text.get(start..end).map(|word| word.trim_end_matches('.')) else { continue };
        let head = text.get(text.floor_char_boundary(start.saturating_sub(NEAR))..start).unwrap_or_default();
        let tail = text.get(end..text.floor_char_boundary(end + NEAR)).unwrap_or_default();
        let (host, is_every) = word.strip_prefix("tasks.").map_or((word, false), |host| (host, true));
        if !knows(host) || head.ends_with(['$', '{', '\\']) || (head.ends_with('/') && !head.ends_with("//")) {
            if let Some(at) = open.filter(|_| says_port(before))
                && let (Some(port), Some(hit)) = (number(word), hits.get_mut(at))
            {
                *hit = Hit { port: Some(port), protocol: protocol("", port, ""), ..*hit };
                open = None;
            }
            before = word;
            continue;
        }
        let scheme = scheme(head);
        let (port, after) = port_of(tail);
        let is_user = scheme.is_some() && port.is_none() && tail.split('/').next().is_some_and(|it| it.contains('@'));
        let port = port.or_else(|| scheme.filter(|_| !is_user).and_then(default_port));
        let alone = whole == word || is_list && whole.split([',', ' ', ';']).any(|item| item == word);
        let is_host = port.is_some()
            || (scheme.is_some() && !is_user)
            || is_every
            || head.ends_with('@')
            || alone
            || says_host(before);
        before = word;
        if is_host {
            open = port.is_none().then_some(hits.len());
            let protocol = port.map_or(Protocol::Tcp, |port| protocol(scheme.unwrap_or_default(), port, after));
            hits.push(Hit { host, port, protocol, is_every });
        }
    }
    hits
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || byte >= 0x80
}

/// A list of hosts, and nothing but that.
fn is_list(text: &str) -> bool {
    text.contains(',') && !text.contains([' ', '=', '/'])
}

/// The scheme before a host: `http://`, also with a user.
fn scheme(head: &str) -> Option<&str> {
    let authority = head.rfind("//")?;
    let between = head.get(authority + 2..)?;
    let is_authority = between.is_empty()
        || between.ends_with('@')
        || (between.ends_with(',') && !between.contains(char::is_whitespace));
    let is_plain = !between.contains(['/', '"', '\'', '\n', ' ']);
    let before = head.get(..authority)?.strip_suffix(':')?;
    let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
    let scheme = before.get(start.map_or(0, |at| at + 1)..)?;
    (is_authority && is_plain).then_some(scheme).filter(|scheme| !scheme.is_empty())
}

/// The port after a host: `:5432`, or ` 5432` as programs that wait for one take it; and what follows.
fn port_of(tail: &str) -> (Option<u16>, &str) {
    let (digits, least) = match (tail.strip_prefix(':'), tail.strip_prefix(' ')) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 20),
        _ => return (None, tail),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (port, after) = digits.split_at(end);
    // `redis:7-alpine` is an image, `admin:12@` a user.
    let ends = after.strip_prefix('.').unwrap_or(after);
    let ends = !ends.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@' | '.'));
    (number(port).filter(|port| ends && *port >= least), after)
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// Whether the word before a number says that it is a port.
fn says_port(word: &str) -> bool {
    word == "-p" || word == "-P" || word.to_ascii_lowercase().ends_with("port")
}

/// Whether the word before a name says that it is a host.
fn says_host(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let ends = ["host", "hostname", "hosts", "server", "servers", "addr", "address", "upstream", "endpoint", "ping"];
    word == "-h" || ends.iter().any(|end| word.ends_with(end))
}

fn default_port(scheme: &str) -> Option<u16> {
    let main = scheme.split('+').next().unwrap_or(scheme);
    Some(match main.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" | "rediss" | "valkey" => 6379,
        "amqp" => 5672,
        "amqps" => 5671,
        "mongodb" => 27017,
        "nats" => 4222,
        "ldap" => 389,
        "ldaps" => 636,
        "smtp" => 25,
        "mqtt" => 1883,
        "bolt" | "neo4j" => 7687,
        "mssql" | "sqlserver" => 1433,
        "ftp" => 21,
        "ssh" | "sftp" => 22,
        _ => return None,
    })
}

/// By the scheme or what follows the port; else statsd, the agents of Jaeger, DNS, SNMP and time are UDP.
fn protocol(scheme: &str, port: u16, after: &str) -> Protocol {
    let says = scheme.eq_ignore_ascii_case("udp") || scheme.eq_ignore_ascii_case("statsd") || after.starts_with("/udp");
    if says || (scheme.is_empty() && matches!(port, 53 | 123 | 161 | 6831 | 6832 | 8125)) {
        Protocol::Udp
    } else {
        Protocol::Tcp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, Option<u16>)> {
        let knows = |word: &str| matches!(word, "db" | "web" | "redis" | "my_db" | "postgres");
        scan(text, knows).into_iter().map(|hit| (hit.host, hit.port)).collect()
    }

    #[test]
    fn what_is_dialled_is_found_in_all_its_forms() {
        for (text, wanted) in [
            ("db", vec![("db", None)]),
            ("db:5432", vec![("db", Some(5432))]),
            ("postgresql+asyncpg://app:pw@db:5432/app", vec![("db", Some(5432))]),
            ("postgresql+asyncpg://app:pw@db/app", vec![("db", Some(5432))]),
            ("jdbc:postgresql://my_db:5433/x?a=b", vec![("my_db", Some(5433))]),
            ("postgres://postgres:x@db/y", vec![("db", Some(5432))]),
            ("redis://redis", vec![("redis", Some(6379))]),
            ("redis://redis/0", vec![("redis", Some(6379))]),
            ("http://web/", vec![("web", Some(80))]),
            ("tcp://web", vec![("web", None)]),
            ("mongodb://db:1,redis:2/x", vec![("db", Some(1)), ("redis", Some(2))]),
            ("db,redis", vec![("db", None), ("redis", None)]),
            ("host=db port=5433 user=x", vec![("db", Some(5433))]),
            ("wait-for-it db:5432 -- run", vec![("db", Some(5432))]),
            ("nc -z db 5432", vec![("db", Some(5432))]),
            ("pg_isready -h db -p 5433", vec![("db", Some(5433))]),
            ("sentinel monitor m redis 6379 2", vec![("redis", Some(6379))]),
            ("proxy_pass http://web:3000;", vec![("web", Some(3000))]),
            ("targets: [\"web:9100\", 'db:9101']", vec![("web", Some(9100)), ("db", Some(9101))]),
            ("proxied to web:80.", vec![("web", Some(80))]),
        ] {
            assert_eq!(found(text), wanted, "{text}");
        }
    }

    #[test]
    fn words_that_are_no_hosts_are_not_taken_for_them() {
        for text in [
            "redis:7-alpine",
            "postgres:x",
            "/data/db:80",
            "the web is wide",
            "$db:80",
            "${db}:80",
            "mydb:5432",
            "db.example.com:5432",
            "db-1:5432",
            "dbé:5432",
            "web: 3 db: 4",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn every_word_is_looked_up_once_however_many_names_there_are() {
        let looked = std::cell::Cell::new(0);
        let text = "http://web:80/ some words, of no use ".repeat(1000);
        scan(&text, |_| {
            looked.set(looked.get() + 1);
            false
        });
        assert_eq!(looked.get(), 8 * 1000);
    }

    #[test]
    fn udp_is_known_by_scheme_and_port() {
        let protocol = |text| scan(text, |word| word == "web").first().map(|hit| hit.protocol);
        assert_eq!(protocol("udp://web:514"), Some(Protocol::Udp));
        assert_eq!(protocol("web:8125"), Some(Protocol::Udp));
        assert_eq!(protocol("http://web:8125"), Some(Protocol::Tcp));
        assert_eq!(protocol("web:514/udp"), Some(Protocol::Udp));
        assert_eq!(protocol("tasks.web"), Some(Protocol::Tcp));
        assert!(scan("tasks.web", |word| word == "web").first().is_some_and(|hit| hit.is_every));
    }
}
