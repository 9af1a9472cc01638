//! The short form of `ports`: `[[HOST_IP:]PUBLISHED:]TARGET[/PROTOCOL]`, each a port or a range.

use std::net::IpAddr;

use super::node::{At, Holds, Node};
use super::problem::{Problem, code};

/// One published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The address of the host; empty for all.
    pub host_ip: String,
    /// The port of the host, or a range of which a free one is taken; empty for any.
    pub published: String,
    /// The port of the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

impl Port {
    /// Its long form.
    pub fn node(self, at: At) -> Node {
        let mut node = Node::map_of(
            at,
            [
                ("mode", Holds::Text("ingress".into())),
                ("target", Holds::Int(i64::from(self.target))),
                ("protocol", Holds::Text(self.protocol)),
            ],
        );
        for (key, text) in [("host_ip", self.host_ip), ("published", self.published)] {
            if let (Some(map), false) = (node.as_map_mut(), text.is_empty()) {
                map.insert(key.to_owned(), super::node::Entry::implied(Node::text(at, text)));
            }
        }
        node
    }
}

/// The ports that a short form means, in the order of the reference: by the text of their target. `most` is how many there may be.
pub fn parse(text: &str, most: usize) -> Result<Vec<Port>, Problem> {
    let wrong = |message: String| {
        let problem = Problem::error(code::PORT, At::NOWHERE, message);
        problem.help("write [[HOST_IP:]PUBLISHED:]TARGET[/PROTOCOL], as \"8080:80\" or \"127.0.0.1:8080:80/udp\"")
    };
    let mut sections: Vec<&str> = text.rsplitn(3, ':').collect();
    sections.reverse();
    let (ip, published, target) = match sections.as_slice() {
        [ip, published, target] => (*ip, *published, *target),
        [published, target] => ("", *published, *target),
        _ => ("", "", text),
    };
    let (target, protocol) = target.split_once('/').unwrap_or((target, ""));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if target.is_empty() {
        return Err(wrong(format!("'{text}' names no port of the container")));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong(format!("'{protocol}' is no protocol: tcp, udp or sctp")));
    }
    let ip = match ip.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']').ok_or_else(|| wrong(format!("'{ip}' is no address")))?,
        None => ip,
    };
    if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
        return Err(wrong(format!("'{ip}' is no address")));
    }
    let range = |text: &str| range(text).ok_or_else(|| wrong(format!("'{text}' is no port and no range of ports")));
    let (first, last) = range(target)?;
    let (host_first, host_last) = if published.is_empty() { (0, 0) } else { range(published)? };
    let count = usize::from(last - first) + 1;
    if !published.is_empty() && last - first != host_last - host_first && count > 1 {
        return Err(wrong(format!("the ranges {published} and {target} are not of the same length")));
    }
    if first == 0 {
        return Err(wrong("a container has no port 0".to_owned()));
    }
    if count > most {
        return Err(Problem::error(code::TOO_MUCH, At::NOWHERE, "the project publishes too many ports"));
    }
    let nth = |n: u16| {
        let published = match published {
            "" => String::new(),
            _ if count == 1 && host_first != host_last => format!("{host_first}-{host_last}"),
            _ => host_first.saturating_add(n).to_string(),
        };
        Port { host_ip: ip.to_owned(), published, target: first + n, protocol: protocol.clone() }
    };
    let mut ports: Vec<Port> = (0..=last - first).map(nth).collect();
    ports.sort_by_cached_key(|port| port.target.to_string());
    Ok(ports)
}

/// A port, or the first and last of a range.
pub fn range(text: &str) -> Option<(u16, u16)> {
    let port =
        |text: &str| text.strip_prefix('+').unwrap_or(text).parse::<u16>().ok().filter(|_| !text.starts_with("++"));
    match text.split_once('-') {
        Some((first, last)) if first != last => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some((first, last))
        }
        Some((first, _)) => port(first).map(|port| (port, port)),
        None => port(text).map(|port| (port, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let one = |p: Port| format!("{}:{}:{}/{}", p.host_ip, p.published, p.target, p.protocol);
        parse(text, 100).unwrap().into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn short_forms_are_read_as_docker_reads_them() {
        for (text, ports) in [
            ("80", "::80/tcp"),
            ("8080:80/UDP", ":8080:80/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            ("[::1]:80:80", "::1:80:80/tcp"),
            ("9000-9002:80", ":9000-9002:80/tcp"),
            ("8000-8001:80-81", ":8000:80/tcp :8001:81/tcp"),
            ("9-10", "::10/tcp ::9/tcp"),
        ] {
            assert_eq!(read(text), ports, "{text}");
        }
        for text in ["", ":80:", "x", "80/x", "70000", "8000-8001:80-82", "1.2.3:80:80", "10-9", "8080:", "80:0"] {
            assert!(parse(text, 100).is_err(), "{text}");
        }
        assert_eq!(parse("1-65535", 100).unwrap_err().code, code::TOO_MUCH);
    }
}
