//! `appstack render`: what the operator would create, without a cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::answer;
use super::split;
use super::validate::{level, load_stack};
use crate::api::{AppStack, PodSecurity};
use crate::render::{Part, Settings, render};
use crate::rollout::first_count;
use crate::stack::{Problems, check};

/// Print the objects that the operator would create, in the order in which it applies them
#[derive(Args, Clone, Debug)]
pub struct RenderArgs {
    /// An AppStack as YAML; `-` reads standard input
    file: PathBuf,
    /// The highest Pod Security level that the stack may ask for
    #[arg(long, value_name = "LEVEL", default_value = "Baseline", value_parser = level)]
    max_pod_security: PodSecurity,
    /// Namespace of the objects, where the file names none
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// Write a file per object into this folder, and print their paths; it is made where it is missing, and must be empty
    #[arg(long, value_name = "DIR")]
    split: Option<PathBuf>,
    /// With --split: take a folder that is not empty, and replace the files that have the name of an object; nothing is deleted
    #[arg(long, requires = "split")]
    overwrite: bool,
}

/// Prints the objects as YAML documents. Findings go to standard error, as they are not the answer.
pub fn run(args: &RenderArgs) -> ExitCode {
    let mut stack = match load_stack(&args.file, args.max_pod_security) {
        Ok(stack) => stack,
        Err(not_loaded) => return not_loaded.report(),
    };
    stack.metadata.namespace.get_or_insert_with(|| args.namespace.clone());
    let rendered = objects(&stack, args.max_pod_security)
        .map_err(|problems| problems.all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    let text = match (&rendered, &args.split) {
        (Ok(objects), Some(folder)) => return split::write(folder, objects, args.overwrite),
        (Ok(objects), None) => yaml(objects).map_err(|error| error.to_string()),
        (Err(problems), _) => Err(problems.clone()),
    };
    match text {
        Ok(text) => answer(&text),
        Err(error) => {
            eprintln!("error: could not render {}: {error}", args.file.display());
            ExitCode::from(1)
        }
    }
}

/// The objects of a stack as they are created; without an owner where the stack has no uid, which only the API server gives.
pub fn objects(written: &AppStack, most: PodSecurity) -> Result<Vec<Value>, Problems> {
    let stack = check(written, most)?;
    let children = render(&stack, &Settings::default());
    let created = children.iter().map(|(id, wanted)| {
        let mut object = wanted.object.clone();
        if stack.uid.is_empty()
            && let Some(meta) = object["metadata"].as_object_mut()
        {
            meta.remove("ownerReferences");
        }
        if id.kind.has_replicas()
            && let Part::Service(name) = &wanted.part
            && let Some(service) = stack.services.get(name)
        {
            object["spec"]["replicas"] = json!(if stack.stopped { 0 } else { first_count(&service.scale) });
        }
        object
    });
    Ok(created.collect())
}

/// YAML documents, one per object.
pub fn yaml(objects: &[Value]) -> Result<String, serde_saphyr::ser::Error> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(documents?.iter().map(|document| format!("---\n{document}")).collect())
}
