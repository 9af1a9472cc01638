//! Values given their types: durations in nanoseconds, memory in bytes, commands in words, lists of `key=value` as maps.

use super::fill::Cast;
use super::node::{Entry, Holds, Map, Node};
use super::notes::{Notes, Settled};
use super::problem::{Code, Problem, code};
use super::shapes::{Kind, PROJECT};
use super::trail::Trail;
use super::units;
use super::words;

/// Gives every value of a project its type. What has none is noted, all of it.
pub fn decode(project: &mut Node, notes: &mut Notes) {
    Decoder { notes }.node(project, PROJECT, &Trail::TOP);
}

struct Decoder<'a> {
    notes: &'a mut Notes,
}

impl Decoder<'_> {
    fn say(&mut self, code: Code, node: &Node, trail: &Trail<'_>, message: impl Into<String>, help: &str) {
        self.notes.say(Problem::error(code, node.at, message).on(trail).help(help));
    }

    fn not(&mut self, wanted: &str, node: &Node, trail: &Trail<'_>) {
        self.say(code::TYPE, node, trail, format!("must be {wanted}, not {}", node.kind()), "");
    }

    fn node(&mut self, node: &mut Node, kind: Kind, trail: &Trail<'_>) {
        if node.is_null() {
            return;
        }
        match kind {
            Kind::Any => {}
            Kind::Text => self.text(node, trail),
            Kind::Bool => self.cast(node, Cast::Bool, trail),
            Kind::Int => self.cast(node, Cast::Int, trail),
            Kind::Float => self.cast(node, Cast::Float, trail),
            Kind::UInt(most) => self.unsigned(node, most, trail),
            Kind::Bytes => self.bytes(node, trail),
            Kind::Duration => self.duration(node, trail),
            Kind::Command => self.command(node, trail),
            Kind::Test => self.test(node, trail),
            Kind::Texts => self.texts(node, false, trail),
            Kind::Words => self.texts(node, true, trail),
            Kind::Pairs => self.pairs(node, true, trail),
            Kind::Variables => self.pairs(node, false, trail),
            Kind::Repeated => self.repeated(node, trail),
            Kind::Hosts => self.hosts(node, trail),
            Kind::Mode => self.mode(node, trail),
            Kind::Count => self.count(node, trail),
            Kind::Limit => match &node.holds {
                Holds::Map(_) => {
                    self.node(node, Kind::Object(&[("soft", Kind::Int), ("hard", Kind::Int)]), trail);
                }
                _ => self.cast(node, Cast::Int, trail),
            },
            Kind::Object(keys) => match &mut node.holds {
                Holds::Map(map) => {
                    for (key, entry) in map {
                        if let Some((_, kind)) = keys.iter().find(|(name, _)| name == key) {
                            self.node(&mut entry.value, *kind, &trail.to(key));
                        }
                    }
                }
                _ => self.not("a map", node, trail),
            },
            Kind::List(kind) => match &mut node.holds {
                Holds::List(items) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.node(item, *kind, &trail.to(&format!("[{index}]")));
                    }
                }
                _ => self.not("a list", node, trail),
            },
            Kind::Map(kind) => match &mut node.holds {
                Holds::Map(map) => {
                    for (key, entry) in map {
                        self.node(&mut entry.value, *kind, &trail.to(key));
                    }
                }
                _ => self.not("a map", node, trail),
            },
        }
    }

    fn text(&mut self, node: &mut Node, trail: &Trail<'_>) {
        match &node.holds {
            Holds::Text(_) => {}
            Holds::Int(number) => node.holds = Holds::Text(number.to_string()),
            _ => {
                let message = format!("must be a text, not {}", node.kind());
                self.say(code::TYPE, node, trail, message, "write it in quotes");
            }
        }
    }

    fn cast(&mut self, node: &mut Node, cast: Cast, trail: &Trail<'_>) {
        let holds = match (&node.holds, cast) {
            (Holds::Text(text), _) => match cast.take(text) {
                Ok(holds) => holds,
                Err(wanted) => {
                    let code = if cast == Cast::Bool { code::BOOLEAN } else { code::NUMBER };
                    return self.say(code, node, trail, format!("'{text}' is not {wanted}"), "");
                }
            },
            (Holds::Bool(_), Cast::Bool)
            | (Holds::Int(_), Cast::Int | Cast::Float)
            | (Holds::Float(_), Cast::Float) => {
                return;
            }
            // As the reference does; what is after the point is lost.
            #[allow(clippy::cast_possible_truncation)]
            (Holds::Float(number), Cast::Int) if number.is_finite() => Holds::Int(*number as i64),
            (_, Cast::Bool) => return self.not("true or false", node, trail),
            (_, Cast::Int) => return self.not("a whole number", node, trail),
            (_, Cast::Float) => return self.not("a number", node, trail),
        };
        node.holds = holds;
    }

    fn unsigned(&mut self, node: &mut Node, most: i64, trail: &Trail<'_>) {
        if let Holds::Text(text) = &node.holds {
            let message = format!("'{text}' must be a number");
            return self.say(code::NUMBER, node, trail, message, "write it without quotes");
        }
        self.cast(node, Cast::Int, trail);
        if let Holds::Int(number) = node.holds
            && !(0..=most).contains(&number)
        {
            self.say(code::BOUNDS, node, trail, format!("{number} is not between 0 and {most}"), "");
        }
    }

    fn bytes(&mut self, node: &mut Node, trail: &Trail<'_>) {
        let size = match &node.holds {
            Holds::Int(size) => Some(*size),
            #[allow(clippy::cast_possible_truncation)] // 1e9 and the like
            Holds::Float(size) if size.fract() == 0.0 && size.abs() < 9e18 => Some(*size as i64),
            Holds::Text(text) => units::bytes(text),
            _ => None,
        };
        match size {
            Some(size) => node.holds = Holds::Bytes(size),
            None => {
                let message = format!("'{}' is no amount of memory", node.printed().unwrap_or_default());
                self.say(code::BYTES, node, trail, message, "write a number with b, k, m or g, as 512m");
            }
        }
    }

    fn duration(&mut self, node: &mut Node, trail: &Trail<'_>) {
        match node.printed().as_deref().and_then(units::duration) {
            Some(nanoseconds) => node.holds = Holds::Duration(nanoseconds),
            None => {
                let message = format!("'{}' is no duration", node.printed().unwrap_or_default());
                self.say(code::DURATION, node, trail, message, "write a number with its unit, as 30s or 1m30s");
            }
        }
    }

    fn command(&mut self, node: &mut Node, trail: &Trail<'_>) {
        let Holds::Text(line) = &node.holds else { return self.texts(node, false, trail) };
        match words::split(line) {
            Ok(words) => {
                let words = words.into_iter().map(|word| Node::text(node.at, word)).collect();
                node.holds = Holds::List(words);
            }
            Err(words::Unfit::Operator(operator)) => {
                let message = format!("Compose runs no shell: it ends the command at '{operator}' without a word");
                let help = format!("write [\"sh\", \"-c\", {}]", serde_json::Value::String(line.clone()));
                self.say(code::COMMAND_CUT, node, trail, message, &help);
            }
            Err(words::Unfit::Unbalanced) => {
                let help = "write the command as a list of words";
                self.say(code::COMMAND, node, trail, "its quotes or parentheses do not fit", help);
            }
        }
    }

    fn test(&mut self, node: &mut Node, trail: &Trail<'_>) {
        match &node.holds {
            Holds::Text(text) => {
                let words = ["CMD-SHELL", text].map(|word| Node::text(node.at, word));
                node.holds = Holds::List(words.into());
            }
            _ => self.texts(node, false, trail),
        }
    }

    fn texts(&mut self, node: &mut Node, any: bool, trail: &Trail<'_>) {
        if node.as_text().is_some() {
            node.holds = Holds::List(vec![node.clone()]);
        }
        let Holds::List(items) = &mut node.holds else { return self.not("a list of texts", node, trail) };
        for (index, item) in items.iter_mut().enumerate() {
            match item.printed().filter(|_| any || matches!(item.holds, Holds::Text(_) | Holds::Int(_))) {
                Some(text) => item.holds = Holds::Text(text),
                None => self.not("a text", item, &trail.to(&format!("[{index}]"))),
            }
        }
    }

    /// `key=value` items as a map; `empty`: a key alone has an empty text.
    fn pairs(&mut self, node: &mut Node, empty: bool, trail: &Trail<'_>) {
        let alone = || if empty { Holds::Text(String::new()) } else { Holds::Null };
        match &mut node.holds {
            Holds::Map(map) => {
                for (key, entry) in map {
                    if entry.value.is_null() {
                        entry.value.holds = alone();
                    } else if let Some(text) = entry.value.printed() {
                        self.respelt(&entry.value, &text, &trail.to(key));
                        entry.value.holds = Holds::Text(text);
                    } else {
                        self.not("a text", &entry.value, &trail.to(key));
                    }
                }
            }
            Holds::List(items) => {
                let mut map = Map::default();
                map.reserve(items.len());
                for item in std::mem::take(items) {
                    let text = item.printed().unwrap_or_default();
                    let (key, value) = match text.split_once('=') {
                        Some((key, value)) => (key, Holds::Text(value.to_owned())),
                        None => (text.as_str(), alone()),
                    };
                    if !empty && key.ends_with(char::is_whitespace) {
                        let message = format!("the name '{key}' ends in a space");
                        self.say(code::PAIR, &item, trail, message, "write NAME=VALUE without spaces around the =");
                    }
                    let entry = Entry::implied(Node::new(item.at, value));
                    if let Some(earlier) = map.insert(key.to_owned(), entry) {
                        self.notes.settle_one(earlier.at, Settled::Overridden(item.at));
                    }
                }
                node.holds = Holds::Map(map);
            }
            _ => self.not("a map or a list of NAME=VALUE", node, trail),
        }
    }

    /// `3.10` is the number 3.1, and `0444` is 292.
    fn respelt(&mut self, node: &Node, printed: &str, trail: &Trail<'_>) {
        let number = matches!(node.holds, Holds::Int(_) | Holds::Float(_) | Holds::Date(_));
        let length = node.at.end.saturating_sub(node.at.start);
        if number && node.at.is_written() && u32::try_from(printed.len()) != Ok(length) {
            let message = format!("without quotes this is not a text, and becomes '{printed}'");
            self.notes.say(Problem::warning(code::RESPELT, node.at, message).on(trail).help("write it in quotes"));
        }
    }

    fn repeated(&mut self, node: &mut Node, trail: &Trail<'_>) {
        let Holds::Map(map) = &mut node.holds else { return self.not("a map", node, trail) };
        for (key, entry) in map {
            if entry.value.as_list().is_none() {
                entry.value = Node::new(entry.value.at, Holds::List(vec![entry.value.clone()]));
            }
            self.texts(&mut entry.value, true, &trail.to(key));
        }
    }

    fn hosts(&mut self, node: &mut Node, trail: &Trail<'_>) {
        let mut hosts = Map::default();
        let mut insert = |name: &str, at, addresses: Vec<Node>| {
            let empty = || Entry { at, value: Node::new(at, Holds::List(Vec::new())) };
            if let Holds::List(all) = &mut hosts.entry(name.to_owned()).or_insert_with(empty).value.holds {
                all.extend(addresses);
            }
        };
        let bare = |at, address: &str| {
            let inside = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).filter(|a| !a.is_empty());
            Node::text(at, inside.unwrap_or(address))
        };
        let printed = |node: &Node| if node.is_null() { String::new() } else { node.printed().unwrap_or_default() };
        match &node.holds {
            Holds::Map(map) => {
                for (host, entry) in map {
                    let addresses = match entry.value.as_list() {
                        Some(items) => items.iter().map(|item| bare(item.at, &printed(item))).collect(),
                        None => vec![bare(entry.value.at, &printed(&entry.value))],
                    };
                    insert(host, entry.at, addresses);
                }
            }
            Holds::List(items) => {
                for item in items {
                    let text = printed(item);
                    match text.split_once('=').or_else(|| text.split_once(':')) {
                        Some((host, addresses)) => {
                            insert(host, item.at, addresses.split(',').map(|address| bare(item.at, address)).collect());
                        }
                        None => {
                            let message = format!("'{text}' has no address");
                            self.say(code::HOST, item, trail, message, "write HOST=ADDRESS");
                        }
                    }
                }
            }
            _ => return self.not("a map or a list of HOST=ADDRESS", node, trail),
        }
        for (host, entry) in &hosts {
            if host.is_empty() || host.contains([':', '=']) {
                self.say(
                    code::HOST,
                    &entry.value,
                    trail,
                    format!("'{host}' is no name of a host"),
                    "write HOST=ADDRESS",
                );
            }
        }
        node.holds = Holds::Map(hosts);
    }

    fn mode(&mut self, node: &mut Node, trail: &Trail<'_>) {
        match &node.holds {
            Holds::Int(mode) => node.holds = Holds::Mode(*mode),
            Holds::Text(text) => match i64::from_str_radix(text, 8) {
                Ok(mode) => node.holds = Holds::Mode(mode),
                Err(_) => {
                    let message = format!("'{text}' is no file mode");
                    self.say(code::NUMBER, node, trail, message, "write it octal, as \"0440\"");
                }
            },
            _ => self.not("a file mode, as \"0440\"", node, trail),
        }
    }

    fn count(&mut self, node: &mut Node, trail: &Trail<'_>) {
        match &node.holds {
            Holds::Int(_) => {}
            Holds::Text(text) if text.eq_ignore_ascii_case("all") => node.holds = Holds::Int(-1),
            Holds::Text(text) => match text.parse() {
                Ok(count) => node.holds = Holds::Int(count),
                Err(_) => self.say(code::NUMBER, node, trail, format!("'{text}' is no number and not 'all'"), ""),
            },
            _ => self.not("a number or 'all'", node, trail),
        }
    }
}
