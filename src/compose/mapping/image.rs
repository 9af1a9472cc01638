//! `image`, `build`, `pull_policy`, `platform` and `runtime`.

use super::{Mapper, Of, code, field};
use crate::api::{PullPolicy, Service};
use crate::compose::node::Entry;

impl<'a> Mapper<'a> {
    /// Which image, and when it is pulled.
    pub(super) fn image(&mut self, of: &Of<'a>, to: &mut Service) {
        let written = of.entry("image").filter(|entry| entry.value.as_text().is_some_and(|image| !image.is_empty()));
        let chosen = self.choices.images.get(of.name).cloned();
        if let Some(entry) = written {
            entry.value.as_text().unwrap_or_default().clone_into(&mut to.image);
            if let Some(chosen) = &chosen {
                self.says.resolved(entry, field(of, &self.services, "image"), "--image names another");
                to.image.clone_from(chosen);
            }
            if is_untagged(&to.image) {
                let message = "without a tag of its own the image may be another one at every start of a pod";
                let help = "write a tag that never moves, or a digest";
                self.says.approximated(entry, code::UNTAGGED, field(of, &self.services, "image"), message, help);
            }
            self.says.mapped(entry, field(of, &self.services, "image"));
        } else if let Some(entry) = of.entry("image") {
            self.says.nothing(entry, "it says nothing");
        }
        if let Some(entry) = of.entry("build") {
            self.build(of, entry, written.is_some(), chosen, to);
        }
        if let Some(entry) = of.entry("pull_policy") {
            self.pull_policy(of, entry, to);
        }
        if let Some(entry) = of.entry("platform") {
            self.platform(of, entry, to);
        }
        if let Some(entry) = of.entry("runtime") {
            match entry.value.as_text().unwrap_or_default() {
                "" | "runc" | "io.containerd.runc.v2" => self.says.nothing(entry, "it is what a node does anyway"),
                "nvidia" => {} // one of the ways to ask for a graphics processor: `resources` knows
                class => {
                    to.runtime_class_name = Some(super::names::label(class));
                    let message = "the cluster has to have a RuntimeClass of this name";
                    let to = field(of, &self.services, "runtimeClassName");
                    self.says.approximated(entry, code::RUNTIME, to, message, "kubectl get runtimeclasses lists them");
                }
            }
        }
    }

    fn build(&mut self, of: &Of<'a>, entry: &'a Entry, has_image: bool, chosen: Option<String>, to: &mut Service) {
        let field = field(of, &self.services, "image");
        if has_image {
            let how = "the image is pulled, not built: build and push it before";
            return self.says.resolved(entry, field, how);
        }
        let from_registry = self.choices.registry.as_ref().map(|prefix| {
            let tag = self.choices.tag.as_deref().unwrap_or("latest");
            format!("{}/{}-{}:{tag}", prefix.trim_end_matches('/'), self.project.name, self.services.get(of.name))
        });
        match chosen.or(from_registry) {
            Some(image) => {
                to.image = image;
                self.says.resolved(entry, field, "the image is pulled, not built: build and push it before");
            }
            None => {
                let message = "a cluster builds no images, and no image is named";
                let help =
                    format!("name it with --image {}=REFERENCE, or all that are built with --registry PREFIX", of.name);
                self.says.refused(entry, code::BUILD, message, &help);
            }
        }
    }

    fn pull_policy(&mut self, of: &Of<'a>, entry: &'a Entry, to: &mut Service) {
        let field = field(of, &self.services, "imagePullPolicy");
        let policy = entry.value.as_text().unwrap_or_default();
        to.image_pull_policy = match policy {
            "always" => Some(PullPolicy::Always),
            "never" => Some(PullPolicy::Never),
            "missing" => Some(PullPolicy::IfNotPresent),
            "build" => {
                let message = "a cluster builds no images";
                return self.says.refused(entry, code::PULL_POLICY, message, "push the image and write 'always'");
            }
            "" => return self.says.nothing(entry, "it says nothing"),
            _ => {
                to.image_pull_policy = Some(PullPolicy::Always);
                let message = "Kubernetes asks the registry at every start of a pod, not at times of its own";
                return self.says.approximated(entry, code::PULL_POLICY, field, message, "");
            }
        };
        self.says.mapped(entry, field);
    }

    fn platform(&mut self, of: &Of<'a>, entry: &'a Entry, to: &mut Service) {
        let text = entry.value.as_text().unwrap_or_default();
        let mut parts = text.split('/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let known = |name: &str| matches!(name, "linux" | "windows" | "darwin" | "freebsd");
        let (os, arch) = match second {
            Some(arch) => (Some(first), Some(arch)),
            None if known(first) => (Some(first), None),
            None => (None, Some(first)),
        };
        let arch = arch.map(|arch| match arch {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        });
        for (label, value) in [("kubernetes.io/os", os), ("kubernetes.io/arch", arch)] {
            to.node_selector
                .extend(value.filter(|value| !value.is_empty()).map(|value| (label.to_owned(), value.to_owned())));
        }
        let field = field(of, &self.services, "nodeSelector");
        if parts.next().is_some() {
            let message = "nodes are told apart by architecture, not by its variant";
            return self.says.approximated(entry, code::PLATFORM, field, message, "");
        }
        self.says.mapped(entry, field);
    }
}

/// Whether an image is `latest`, said or unsaid.
fn is_untagged(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"))
}
