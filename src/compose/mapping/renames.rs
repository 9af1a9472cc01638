//! Services whose names Kubernetes does not take, and who still dials them by those.

use super::{Mapper, code};

impl Mapper<'_> {
    /// Says which services are called something else now, and where a text names them as before. No value is rewritten: what is a host in one
    /// program is a key in another.
    pub(super) fn old_names(&mut self) {
        let changed: Vec<(String, String)> =
            self.services.changed().map(|(name, label)| (name.to_owned(), label.to_owned())).collect();
        for (name, label) in changed {
            let Some(entry) = self.project.root.get("services").and_then(|services| services.entry(&name)) else {
                continue;
            };
            let message = format!("'{name}' cannot be the name of a Service: it is '{label}' on the cluster");
            let help = format!("call it {label} in the Compose file, and both worlds dial one name");
            self.says.service = Some(name.clone());
            self.says.noted(entry.at, code::RENAMED, &message, &help);
            // Names are looked up whatever their case.
            if name.to_lowercase() == label {
                continue;
            }
            let mentions: Vec<_> = self.texts.mentions(&name).copied().collect();
            let mut told = Vec::new();
            for mention in mentions {
                if told.contains(&(mention.at, mention.by)) || self.says.is_refused(mention.by) {
                    continue;
                }
                told.push((mention.at, mention.by));
                let message = format!("'{name}' is named here, and answers as '{label}' on the cluster");
                let help =
                    format!("write {label}, and give that name to the service or as an alias in the Compose file");
                self.says.service = Some(mention.by.to_owned());
                self.says.noted(mention.at, code::OLD_NAME, &message, &help);
            }
        }
        self.says.service = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mapped;

    #[test]
    fn who_dials_a_service_by_a_name_it_has_no_more_is_told_where() {
        let text = "services:
  my_db: {image: a}
  Web: {image: a}
  api:
    image: a
    environment: {URL: 'http://my_db:80/', OTHER: 'http://Web:80/', NOTE: about my_db}
    command: [serve, --host, my_db]
";
        let mapped = mapped(text);
        let said: Vec<(&str, &str, &str)> = mapped
            .findings
            .iter()
            .filter(|finding| matches!(finding.outcome.code.0, "C1005" | "C1114"))
            .map(|finding| {
                (finding.outcome.code.0, finding.service.as_deref().unwrap(), finding.outcome.message.as_str())
            })
            .collect();
        let named = "'my_db' is named here, and answers as 'my-db' on the cluster";
        let expected = [
            ("C1005", "my_db", "'my_db' cannot be the name of a Service: it is 'my-db' on the cluster"),
            ("C1005", "Web", "'Web' cannot be the name of a Service: it is 'web' on the cluster"),
            ("C1114", "api", named),
            ("C1114", "api", named),
        ];
        assert_eq!(said, expected);
        assert_eq!(mapped.stack.spec.services["api"].env["URL"], "http://my_db:80/", "no value is rewritten");
    }
}
