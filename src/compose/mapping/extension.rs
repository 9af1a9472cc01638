//! `x-appstack` as the types that it stands for: every unknown field and every wrong value is said where it is written.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::says::Place;
use super::{Mapper, code};
use crate::compose::node::{At, Entry, Holds, Node};
use crate::compose::schema::nearest;

impl Mapper<'_> {
    /// What the extension at `entry` says, typed. Unknown fields are refused each, and left out; of a value that is not what its field takes
    /// it is refused, and nothing is read. The caller says what became of the fields that are read.
    pub(super) fn extension<T: DeserializeOwned>(&mut self, entry: &Entry) -> Option<T> {
        let mut unknown = Vec::new();
        let read = T::deserialize(Reader { node: &entry.value, at: entry.at, unknown: &mut unknown });
        for field in unknown {
            if let Some(place) = find(entry, field.at) {
                self.says.refused(place, code::EXTENSION, &field.message, &field.help);
            }
        }
        match read {
            Ok(read) => Some(read),
            Err(wrong) => {
                let place = wrong.at.and_then(|at| find(entry, at)).unwrap_or_else(|| entry.into());
                self.says.refused(
                    place,
                    code::EXTENSION,
                    &wrong.message,
                    "'appstack schema' prints what each field takes",
                );
                self.says.nothing(entry, "what is wrong in the extension keeps it from being read");
                None
            }
        }
    }
}

/// The key or item at a place.
fn find(entry: &Entry, at: At) -> Option<Place<'_>> {
    if entry.at == at { Some(entry.into()) } else { below(&entry.value, at) }
}

fn below(node: &Node, at: At) -> Option<Place<'_>> {
    match &node.holds {
        Holds::Map(map) => map.values().find_map(|entry| find(entry, at)),
        Holds::List(items) => {
            items.iter().find_map(|item| if item.at == at { Some(item.into()) } else { below(item, at) })
        }
        _ => None,
    }
}

/// A field that its type does not have.
struct Unknown {
    at: At,
    message: String,
    help: String,
}

/// A value that its field does not take.
#[derive(Debug)]
struct Wrong {
    /// Of the innermost key or item, once it is known.
    at: Option<At>,
    message: String,
}

impl Wrong {
    fn within(mut self, at: At) -> Wrong {
        self.at.get_or_insert(at);
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Wrong {
        Wrong { at: None, message: message.to_string() }
    }
}

/// Reads one value; `at` is its key or item.
struct Reader<'n, 'u> {
    node: &'n Node,
    at: At,
    unknown: &'u mut Vec<Unknown>,
}

impl<'n> Reader<'n, '_> {
    fn read<V: Visitor<'n>>(self, fields: Option<&'static [&'static str]>, visitor: V) -> Result<V::Value, Wrong> {
        let at = self.at;
        let read = match &self.node.holds {
            Holds::Null => visitor.visit_unit(),
            Holds::Bool(value) => visitor.visit_bool(*value),
            Holds::Int(value) | Holds::Duration(value) | Holds::Bytes(value) | Holds::Mode(value) => {
                visitor.visit_i64(*value)
            }
            Holds::Big(value) => visitor.visit_u64(*value),
            Holds::Float(value) => visitor.visit_f64(*value),
            Holds::Text(text) | Holds::Date(text) => visitor.visit_borrowed_str(text),
            Holds::List(items) => visitor.visit_seq(Items { items: items.iter(), unknown: self.unknown }),
            Holds::Map(map) => {
                let mut entries = Vec::new();
                for (key, entry) in map {
                    match fields {
                        Some(fields) if !fields.contains(&key.as_str()) => {
                            let message = format!("there is no field '{key}' here");
                            let help = match nearest(key, fields.iter().copied()) {
                                Some(near) => format!("did you mean '{near}'?"),
                                None => format!("it may have {}", fields.join(", ")),
                            };
                            self.unknown.push(Unknown { at: entry.at, message, help });
                        }
                        // A key without a value says nothing, as everywhere in Compose.
                        _ if entry.value.is_null() => {}
                        _ => entries.push((key.as_str(), entry)),
                    }
                }
                visitor.visit_map(Fields { entries: entries.into_iter(), next: None, unknown: self.unknown })
            }
        };
        read.map_err(|wrong: Wrong| wrong.within(at))
    }
}

impl<'n> Deserializer<'n> for Reader<'n, '_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.read(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.read(Some(fields), visitor)
    }

    /// Numbers and the like are texts where a text is wanted, as Compose has it for variables.
    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.holds {
            Holds::Bool(_) | Holds::Int(_) | Holds::Big(_) | Holds::Float(_) => {
                visitor.visit_string(self.node.printed().unwrap_or_default())
            }
            _ => self.read(None, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let at = self.at;
        let word = self.node.as_text().unwrap_or_default();
        match words.iter().find(|known| **known == word) {
            Some(word) => visitor.visit_enum(Word(word)).map_err(|wrong| wrong.within(at)),
            None => {
                let given = self.node.printed().map_or_else(|| self.node.kind().to_owned(), |text| format!("'{text}'"));
                Err(Wrong { at: Some(at), message: format!("must be one of {}, not {given}", words.join(", ")) })
            }
        }
    }

    forward_to_deserialize_any! {
        <W: Visitor<'n>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
        ignored_any
    }
}

struct Items<'n, 'u> {
    items: std::slice::Iter<'n, Node>,
    unknown: &'u mut Vec<Unknown>,
}

impl<'n> SeqAccess<'n> for Items<'n, '_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(node) = self.items.next() else { return Ok(None) };
        seed.deserialize(Reader { node, at: node.at, unknown: self.unknown })
            .map(Some)
            .map_err(|wrong| wrong.within(node.at))
    }
}

struct Fields<'n, 'u> {
    entries: std::vec::IntoIter<(&'n str, &'n Entry)>,
    next: Option<&'n Entry>,
    unknown: &'u mut Vec<Unknown>,
}

impl<'n> MapAccess<'n> for Fields<'n, '_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.next = Some(entry);
        seed.deserialize(StrDeserializer::new(key)).map(Some).map_err(|wrong: Wrong| wrong.within(entry.at))
    }

    fn next_value_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        let entry = self.next.take().ok_or_else(|| de::Error::custom("a key has no value"))?;
        let reader = Reader { node: &entry.value, at: entry.at, unknown: self.unknown };
        seed.deserialize(reader).map_err(|wrong| wrong.within(entry.at))
    }
}

/// A word of a list of words.
struct Word(&'static str);

impl<'n> EnumAccess<'n> for Word {
    type Error = Wrong;
    type Variant = Word;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Word), Wrong> {
        Ok((seed.deserialize(StrDeserializer::<Wrong>::new(self.0))?, self))
    }
}

impl<'n> VariantAccess<'n> for Word {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, _: T) -> Result<T::Value, Wrong> {
        Err(de::Error::custom("must be a word"))
    }

    fn tuple_variant<V: Visitor<'n>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(de::Error::custom("must be a word"))
    }

    fn struct_variant<V: Visitor<'n>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Wrong> {
        Err(de::Error::custom("must be a word"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::choices::Choices;
    use super::super::says::Class;
    use super::*;
    use crate::api::{Autoscale, Populate, Update};
    use crate::compose::files::Memory;
    use crate::compose::{Options, load};

    /// What is read of an extension of these lines, and what was found.
    fn read<T: DeserializeOwned + serde::Serialize>(lines: &str) -> (Option<serde_json::Value>, Vec<(String, String)>) {
        let text = format!("services:\n  a:\n    image: a:1\n    x-appstack: {lines}\n");
        let files = Memory::from([("/p/compose.yaml".into(), text.as_bytes().to_vec())]);
        let loaded = load(&files, &Options { folder: "/p".into(), ..Options::default() });
        let choices = Choices::default();
        let mut mapper = Mapper::new(loaded.project.as_ref().unwrap(), &loaded, &files, &choices);
        let entry =
            mapper.project.root.find(&["services", "a"]).and_then(|service| service.entry("x-appstack")).unwrap();
        let read = mapper.extension::<T>(entry).map(|read| serde_json::to_value(read).unwrap());
        let (_, findings) = mapper.says.end();
        let at = |at: At| text[at.start as usize..at.end as usize].to_owned();
        let found = findings.iter().map(|finding| {
            assert_eq!((finding.outcome.class, finding.outcome.code), (Class::Refused, code::EXTENSION));
            (at(finding.at), format!("{}; {}", finding.outcome.message, finding.outcome.help))
        });
        (read, found.collect())
    }

    #[test]
    fn fields_are_read_as_their_types() {
        let (got, found) =
            read::<Update>("{order: StopFirst, parallelism: 2, minReady: 10s, onFailure: Rollback, deadline: }");
        assert_eq!(found, []);
        assert_eq!(
            got,
            Some(json!({"order": "StopFirst", "parallelism": 2, "minReady": "10s", "onFailure": "Rollback"}))
        );
        let (got, found) = read::<Populate>("{image: a:1, command: [sh, -c, 1], env: {A: 1, B: true, C: ''}}");
        assert_eq!(found, []);
        assert_eq!(
            got,
            Some(json!({"image": "a:1", "command": ["sh", "-c", "1"], "env": {"A": "1", "B": "true", "C": ""}}))
        );
    }

    #[test]
    fn an_unknown_field_is_said_where_it_is_and_the_others_are_read() {
        let (got, found) = read::<Autoscale>("{min: 1, max: 3, cpuPercents: 70}");
        assert_eq!(got, Some(json!({"min": 1, "max": 3})));
        assert_eq!(
            found,
            [("cpuPercents".to_owned(), "there is no field 'cpuPercents' here; did you mean 'cpuPercent'?".to_owned())]
        );
    }

    #[test]
    fn a_wrong_value_is_said_at_its_key() {
        for (lines, at, part) in [
            ("{min: 1, max: many}", "max", "invalid type: string \"many\""),
            ("{min: 3}", "x-appstack", "missing field `max`"),
            ("[1]", "x-appstack", "invalid"),
        ] {
            let (got, found) = read::<Autoscale>(lines);
            assert_eq!(got, None, "{lines}");
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].0.starts_with(at) && found[0].1.contains(part), "{found:?}");
        }
        let (_, found) = read::<Update>("{order: Sideways}");
        assert_eq!(found[0].0, "order");
        assert!(found[0].1.starts_with("must be one of StartFirst, StopFirst, not 'Sideways'"), "{found:?}");
        let (_, found) = read::<Populate>("{image: a:1, command: [sh, [x]]}");
        assert_eq!(found[0].0, "[x]");
    }
}
