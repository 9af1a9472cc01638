//! Files that a command copies: a copy has the mode of what is copied.

use super::command::texts;
use super::{Mapper, Of};
use crate::api::Service;
use crate::compose::node::Node;

impl<'a> Mapper<'a> {
    /// A file that Compose binds has its mode on the computer, which lets its owner write; files of configs and Secrets only let read. So that
    /// a copy can still be written to, as by programs that rewrite their configuration, what a command copies gets that mode.
    pub(super) fn copies(&self, of: &Of<'a>, to: &mut Service) {
        let hooks = ["pre_start", "post_start"].into_iter().flat_map(|key| of.node.items(key));
        let hooks = hooks.filter_map(|hook| hook.get("command"));
        let lines: Vec<String> = ["entrypoint", "command"]
            .into_iter()
            .filter_map(|key| of.node.get(key))
            .chain(hooks)
            .map(|words| texts(words).join(" "))
            .collect();
        if !lines.iter().any(|line| line.contains("cp ")) {
            return;
        }
        for (path, mount) in &mut to.mounts {
            let mode = match mount.mode.as_deref() {
                None => "0644",
                Some("0555") => "0755",
                Some(_) => continue,
            };
            let is_file = mount.config.is_some() || mount.secret.is_some();
            if is_file && self.is_of_computer(of, path) && lines.iter().any(|line| copies(line, path)) {
                mount.mode = Some(mode.to_owned());
            }
        }
    }

    /// Whether a file of the computer is mounted at `path`: other files only let read in Compose too.
    fn is_of_computer(&self, of: &Of<'a>, path: &str) -> bool {
        let text = |item: &Node, key: &str| item.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
        let is_bound = |item: &Node| text(item, "type") == "bind" && text(item, "target") == path;
        let is_file = |section: &str, item: &Node| {
            let (source, target) = (text(item, "source"), text(item, "target"));
            let is_here = target == path || path.strip_suffix(target.as_str()).is_some_and(|head| head.ends_with('/'));
            is_here && self.project.root.find(&[section, &source, "file"]).is_some_and(|file| !file.is_null())
        };
        of.node.items("volumes").iter().any(is_bound)
            || ["configs", "secrets"].into_iter().any(|of_| of.node.items(of_).iter().any(|item| is_file(of_, item)))
    }
}

/// Whether a line of a shell has `cp` with a file, or with a folder that it is in.
fn copies(line: &str, path: &str) -> bool {
    line.split(['\n', ';', '&', '|']).any(|command| {
        let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'', '(', ')']));
        let mut after = words.skip_while(|word| *word != "cp" && !word.ends_with("/cp")).skip(1).peekable();
        // The last one is where it goes.
        while let Some(word) = after.next() {
            let folder = word.trim_end_matches(['*', '.']).trim_end_matches('/');
            let is_in = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            if after.peek().is_some() && (word == path || (!folder.is_empty() && is_in(folder))) {
                return true;
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::super::choices::Choices;
    use super::super::tests::mapped_with;
    use super::copies;

    #[test]
    fn copies_are_told_from_other_commands() {
        for line in
            ["cp /etc/a.conf /data/a.conf", "set -e\n/bin/cp -r /etc/. /data", "x && cp \"/etc/a.conf\" /data; y"]
        {
            assert!(copies(line, "/etc/a.conf"), "{line}");
        }
        for line in
            ["cp /data/a.conf /etc/a.conf", "scp /etc/a.conf x:", "cat /etc/a.conf > /b", "cp /etc/a.con /b", "cp * /b"]
        {
            assert!(!copies(line, "/etc/a.conf"), "{line}");
        }
    }

    #[test]
    fn a_copy_of_a_file_can_be_written_to_as_in_compose() {
        let text = "services:
  a:
    image: a:1
    command: [sh, -c, 'cp /etc/file.conf /etc/run.sh /etc/text.conf /data/']
    volumes: ['./run.sh:/etc/run.sh', './other.conf:/etc/other.conf']
    configs: [{source: file, target: /etc/file.conf}, {source: text, target: /etc/text.conf}]
configs: {file: {file: ./file.conf}, text: {content: x}}
";
        let files = [("compose.yaml", text), ("file.conf", "x"), ("run.sh", "x"), ("other.conf", "x")];
        let mounts = mapped_with(&files, &Choices::default()).stack.spec.services.remove("a").unwrap().mounts;
        let modes: Vec<_> = mounts.values().map(|mount| mount.mode.as_deref()).collect();
        assert_eq!(modes, [Some("0644"), None, Some("0644"), None], "{:?}", mounts.keys());
    }
}
