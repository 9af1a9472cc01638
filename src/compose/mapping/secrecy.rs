//! Which values are credentials: by the names of their variables, by what they look like, by where they stand in a URL.

/// Words that say what a variable holds is secret, at the end of its name or of a word of it (`PGPASSWORD`).
const SECRET: [&str; 8] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "PASSCODE", "SECRETS"];
/// The same where it is the last word of the name.
const LAST: [&str; 9] = ["PASS", "PWD", "PW", "KEY", "KEYS", "CREDENTIAL", "CREDENTIALS", "SALT", "PASSWORDS"];
/// Keys that are no secret.
const OPEN_KEYS: [&str; 16] = [
    "PUBLIC",
    "PRIMARY",
    "FOREIGN",
    "SITE",
    "PARTITION",
    "SORT",
    "CACHE",
    "ROUTING",
    "HOT",
    "PUBLISHABLE",
    "PUB",
    "INDEX",
    "SHARD",
    "DATA",
    "LOOKUP",
    "IDEMPOTENCY",
];
/// Last words that say that the variable is about a secret and is none.
const ABOUT: [&str; 64] = [
    "FILE",
    "FILES",
    "PATH",
    "DIR",
    "FOLDER",
    "URL",
    "URI",
    "ENDPOINT",
    "HOST",
    "PORT",
    "NAME",
    "ID",
    "USER",
    "USERNAME",
    "HEADER",
    "TYPE",
    "ALG",
    "ALGORITHM",
    "METHOD",
    "EXPIRE",
    "EXPIRES",
    "EXPIRY",
    "EXPIRATION",
    "TTL",
    "LIFETIME",
    "VALIDITY",
    "TIMEOUT",
    "MINUTES",
    "SECONDS",
    "HOURS",
    "DAYS",
    "MIN",
    "MAX",
    "LENGTH",
    "LEN",
    "SIZE",
    "COUNT",
    "LIMIT",
    "POLICY",
    "ENABLED",
    "DISABLED",
    "REQUIRED",
    "ALLOWED",
    "HASHER",
    "ROUNDS",
    "STORE",
    "PROVIDER",
    "MANAGER",
    "BACKEND",
    "VERSION",
    "PREFIX",
    "SUFFIX",
    "REGEX",
    "PATTERN",
    "FORMAT",
    "STRENGTH",
    "RESET",
    "FIELD",
    "CLAIM",
    "ISSUER",
    "AUDIENCE",
    "SCOPE",
    "REGION",
    "ARN",
];
/// What each name of a credential has somewhere in it: most names have none of these, and are not split into words.
const STEMS: [&str; 8] = ["PASS", "PW", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "SALT", "AUTH"];
/// Names that say nothing by their words.
const NAMES: [&str; 4] = ["REDISCLI_AUTH", "NEO4J_AUTH", "BASIC_AUTH", "HTTP_BASIC_AUTH"];

/// Whether a variable of this name holds a credential. `PWD` alone is the folder that a shell is in.
pub(super) fn is_credential_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    if name.is_ascii() && !STEMS.iter().any(|stem| upper.contains(stem)) {
        return false;
    }
    let words = words(name);
    let upper = words.join("_");
    let Some(last) = words.last() else { return false };
    if matches!(upper.as_str(), "PWD" | "OLDPWD" | "KEY") || ABOUT.contains(&last.as_str()) {
        return false;
    }
    if NAMES.contains(&upper.as_str()) || words.iter().any(|word| SECRET.iter().any(|end| word.ends_with(end))) {
        return true;
    }
    let before = words.len().checked_sub(2).and_then(|at| words.get(at)).map_or("", String::as_str);
    let is_key = last == "KEY" || last == "KEYS";
    let has_key = words.windows(2).any(|pair| match pair {
        [first, key] => {
            key == "KEY" && matches!(first.as_str(), "API" | "SECRET" | "PRIVATE" | "ACCESS" | "ENCRYPTION")
        }
        _ => false,
    });
    has_key || (LAST.contains(&last.as_str()) && !(is_key && (OPEN_KEYS.contains(&before) || words.len() == 1)))
}

/// The words of a name in upper case, numbers at its end left out: `db.adminPassword_2` is `DB`, `ADMIN`, `PASSWORD`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_uppercase());
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    while words.len() > 1 && words.last().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
        words.pop();
    }
    if let Some(last) = words.last_mut() {
        let end = last.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        last.truncate(end.max(1));
    }
    words
}

/// Whether a variable of this name and value holds a credential.
pub(super) fn is_credential(name: &str, value: &str) -> bool {
    (is_credential_name(name) && can_be(value)) || is_token(value)
}

/// Whether a value can be a credential: it is no switch and no path of a file.
pub(super) fn can_be(value: &str) -> bool {
    let roots =
        ["/run/", "/etc/", "/var/", "/certs/", "/ssl/", "/secrets/", "/app/", "/home/", "/root/", "/opt/", "/usr/"];
    let roots =
        roots.iter().chain(&["/keys/", "/data/", "/config/", "/tmp/", "/mnt/", "/srv/", "./", "../", "file://"]);
    let switch =
        ["true", "false", "yes", "no", "on", "off", "none", "null"].iter().any(|it| value.eq_ignore_ascii_case(it));
    !switch && !roots.into_iter().any(|root| value.starts_with(root))
}

/// Values that are credentials whatever they are called: private keys, and tokens whose issuers mark them.
fn is_token(value: &str) -> bool {
    let long = |prefix: &str, least: usize| {
        let rest = value.strip_prefix(prefix).unwrap_or_default();
        rest.len() >= least && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
    };
    value.contains("PRIVATE KEY-----")
        || [("ghp_", 30), ("github_pat_", 30), ("glpat-", 16), ("sk-", 20), ("xoxb-", 20), ("xoxp-", 20), ("AKIA", 16)]
            .iter()
            .any(|(prefix, least)| long(prefix, *least))
        || (long("eyJ", 30) && value.matches('.').count() == 2)
        || long("https://hooks.slack.com/services/", 10)
        || long("https://discord.com/api/webhooks/", 10)
}

/// Whether a value stands for one that somebody has yet to write.
pub(super) fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let words =
        ["changeme", "change-me", "change_me", "your-", "your_", "placeholder", "replace-me", "replace_me", "todo"];
    words.iter().any(|word| lower.contains(word))
        || (lower.starts_with('<') && lower.ends_with('>'))
        || (!lower.is_empty() && lower.chars().all(|c| c == 'x' || c == '*'))
}

/// Words that anybody tries first: as a password they cannot be told from the same word elsewhere.
pub(super) fn is_common(value: &str) -> bool {
    let common = [
        "postgres",
        "mysql",
        "mariadb",
        "redis",
        "mongo",
        "mongodb",
        "rabbitmq",
        "minio",
        "minioadmin",
        "grafana",
        "root",
        "admin",
        "administrator",
        "user",
        "username",
        "guest",
        "test",
        "testing",
        "example",
        "demo",
        "default",
        "password",
        "passwd",
        "pass",
        "secret",
        "changeme",
        "change-me",
        "postgresql",
        "localhost",
        "development",
        "production",
        "dev",
        "prod",
        "local",
        "app",
        "neo4j",
        "elastic",
        "docker",
        "public",
        "private",
        "token",
        "key",
        "db",
        "database",
        "http",
        "https",
    ];
    let is_number = value.len() <= 6 && value.chars().all(|c| c.is_ascii_digit());
    value.len() < 3 || is_number || common.iter().any(|word| value.eq_ignore_ascii_case(word)) || !can_be(value)
}

/// A credential inside a longer text: bytes from, to, and the word that says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside<'t> {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// `PASSWORD`, or the parameter that it is the value of.
    pub word: &'t str,
}

/// The passwords of URLs (`scheme://user:PASSWORD@host`), and the values of parameters that are called like credentials
/// (`?password=`, `;Pwd=`, `host=db password=x`), in their order.
pub(super) fn inside(text: &str) -> Vec<Inside<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("://")).map(|at| from + at + 3) {
        from = at;
        let rest = text.get(at..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#', ' ', '\t', '\n', '"', '\'', ',']).next().unwrap_or_default();
        // A password may hold '@' and, badly written, '/'; digits before a '/' are a port.
        let is_port = authority.rsplit(':').next().is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()));
        let beyond = rest.find('@').filter(|end| *end > authority.len() && !is_port && authority.contains(':'));
        let beyond =
            beyond.and_then(|end| rest.get(..=end)).filter(|it| !it.contains(['?', ' ', '\n', '"', '\'', ',']));
        let authority = beyond.unwrap_or(authority);
        let Some(user) = authority.rfind('@').and_then(|end| authority.get(..end)) else { continue };
        let Some(colon) = user.find(':').filter(|colon| colon + 1 < user.len()) else { continue };
        found.push(Inside { start: at + colon + 1, end: at + user.len(), word: "PASSWORD" });
    }
    for (equals, _) in text.match_indices('=') {
        let head = text.get(..equals).unwrap_or_default();
        let start =
            head.rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))).map_or(0, |at| at + 1);
        let word = head.get(start..).unwrap_or_default();
        let begins = head
            .get(..start)
            .is_none_or(|head| head.is_empty() || head.ends_with(['?', '&', ';', ' ', ',', '\n', '"', '\'']));
        let value = text.get(equals + 1..).unwrap_or_default();
        let end = value
            .find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'' | '#'))
            .unwrap_or(value.len());
        let value = value.get(..end).unwrap_or_default();
        let is_within = found.iter().any(|one: &Inside<'_>| one.start <= equals && equals < one.end);
        let is_secret =
            is_credential_name(word) || word.eq_ignore_ascii_case("pwd") || word.eq_ignore_ascii_case("sig");
        if begins && !is_within && is_secret && !value.is_empty() && !value.starts_with('$') && can_be(value) {
            found.push(Inside { start: equals + 1, end: equals + 1 + end, word });
        }
    }
    found.sort_unstable_by_key(|one| one.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_credential_has_a_stem() {
        for word in SECRET.iter().chain(&LAST).chain(&NAMES) {
            assert!(STEMS.iter().any(|stem| word.contains(stem)), "{word}");
        }
    }

    #[test]
    fn credentials_are_known_by_name() {
        for name in [
            "PASSWORD",
            "POSTGRES_PASSWORD",
            "PGPASSWORD",
            "DB_PASS",
            "DB_PWD",
            "MYSQL_ROOT_PASSWORD",
            "JWT_SECRET",
            "SECRET",
            "SECRET_KEY_BASE",
            "API_KEY",
            "OPENAI_API_KEY",
            "APIKEY",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "TOKEN_GITHUB",
            "REDIS_PASSWORD_PROD",
            "spring.datasource.password",
            "dbPassword",
            "PASSWORD2",
            "TOKEN_1",
            "QDRANT__SERVICE__API_KEY",
            "ENCRYPTION_KEY",
            "APP_KEY",
            "HASH_SALT",
            "REDISCLI_AUTH",
            "LICENSE_KEY",
            "USERS_RESET_PASSWORD_TOKEN_SECRET",
            "API_KEY_PROD",
            "TLS_PRIVATE_KEY",
            "CLIENT_SECRET",
            "DB_CREDENTIALS",
        ] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in [
            "PWD",
            "PUBLIC_KEY",
            "VAPID_PUBLIC_KEY",
            "SSH_KEY_PATH",
            "POSTGRES_PASSWORD_FILE",
            "GF_SECURITY_ADMIN_PASSWORD__FILE",
            "ACCESS_TOKEN_EXPIRE_MINUTES",
            "TOKEN_URL",
            "MAX_TOKENS",
            "TOKENIZERS_PARALLELISM",
            "SECRET_NAME",
            "PASSWORD_MIN_LENGTH",
            "AWS_ACCESS_KEY_ID",
            "KEY_PREFIX",
            "CACHE_KEY",
            "API_KEY_HEADER",
            "KEYCLOAK_URL",
            "MONKEY",
            "KEY",
            "DATABASE_URL",
            "POSTGRES_USER",
            "PASSAGE",
            "COMPASS",
            "JWT_SECRET_ALGORITHM",
            "",
        ] {
            assert!(!is_credential_name(name), "{name}");
        }
    }

    #[test]
    fn switches_and_paths_are_no_credentials_and_marked_tokens_always_are() {
        assert!(!is_credential("ALLOW_EMPTY_PASSWORD", "yes"));
        assert!(!is_credential("GOOGLE_APPLICATION_CREDENTIALS", "/secrets/key.json"));
        assert!(is_credential("X", "ghp_0123456789012345678901234567890123456"));
        assert!(is_credential("X", "-----BEGIN RSA PRIVATE KEY-----\nabc"));
        assert!(!is_credential("X", "sk-short") && !is_credential("LANG", "en"));
    }

    #[test]
    fn passwords_in_urls_and_connection_strings_are_found() {
        for (text, wanted) in [
            ("postgres://app:hunter2@db:5432/app", vec!["hunter2"]),
            ("postgres://app@db/app", vec![]),
            ("redis://:pw@redis:6379", vec!["pw"]),
            ("http://web:80/x@y", vec![]),
            ("http://web:80,http://db:81", vec![]),
            ("a://u:p@h,b://v:q@i", vec!["p", "q"]),
            ("jdbc:postgresql://db:5432/x?user=a&password=hunter2", vec!["hunter2"]),
            ("Server=db;User Id=sa;Password=hunter2;Encrypt=no", vec!["hunter2"]),
            ("host=db password=hunter2 user=x", vec!["hunter2"]),
            ("https://x.example/cb?api_key=abc&next=/", vec!["abc"]),
            ("--max-tokens=5 --password-file=/x", vec![]),
            ("postgres://app:a@b@db/x", vec!["a@b"]),
        ] {
            let found: Vec<&str> = inside(text).iter().map(|one| &text[one.start..one.end]).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }
}
