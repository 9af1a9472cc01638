//! The choices of `import` on the command line.

use clap::{Args, ValueEnum};

use crate::api::PublishType;
use crate::compose::mapping::choices::{BindAs, Choices, VolumeAs};

/// What the project becomes where it can become more than one stack.
#[derive(Args, Clone, Debug)]
pub struct ChoiceArgs {
    /// A code, or one of hostpath, hostnetwork, hostipc, hostpid, privileged, that is no failure
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// The image of a service that is built
    #[arg(long, value_name = "SERVICE=REFERENCE", value_parser = pair)]
    image: Vec<(String, String)>,
    /// Where images that are built are pushed to: PREFIX/PROJECT-SERVICE:TAG
    #[arg(long, value_name = "PREFIX")]
    registry: Option<String>,
    /// The tag of those
    #[arg(long, value_name = "TAG", requires = "registry")]
    tag: Option<String>,
    /// How published ports are exposed: ClusterIP, NodePort or LoadBalancer
    #[arg(long, value_name = "TYPE", default_value = "LoadBalancer", value_parser = publish)]
    publish: PublishType,
    /// The class of Ingress that takes in the requests of routes
    #[arg(long, value_name = "NAME")]
    ingress_class: Option<String>,
    /// What a bound path becomes: volume, ephemeral, config, hostpath or drop
    #[arg(long, value_name = "PATH=WHAT", value_parser = bind)]
    bind: Vec<(String, BindAs)>,
    /// What a volume becomes: claim, rwx (all nodes mount it), rwop (one pod mounts it at a time), ephemeral, or secret (one that exists already)
    #[arg(long, value_name = "NAME=WHAT", value_parser = volume)]
    volume: Vec<(String, VolumeAs)>,
    /// How much a volume holds that does not say so
    #[arg(long, value_name = "SIZE", default_value = "1Gi")]
    default_size: String,
    /// The storage class for a volume driver
    #[arg(long, value_name = "DRIVER=CLASS", value_parser = pair)]
    storage_class_map: Vec<(String, String)>,
    /// A service that runs to its end
    #[arg(long, value_name = "SERVICE")]
    job: Vec<String>,
    /// A service that is kept running
    #[arg(long, value_name = "SERVICE")]
    no_job: Vec<String>,
    /// How many graphics processors a service gets
    #[arg(long, value_name = "SERVICE=N", value_parser = count)]
    gpu: Vec<(String, u32)>,
    /// A service whose check is inside its image: healthy once it runs
    #[arg(long, value_name = "SERVICE")]
    assume_healthy: Vec<String>,
    /// The address of a model
    #[arg(long, value_name = "NAME=URL", value_parser = pair)]
    model: Vec<(String, String)>,
    /// Env files that three services or more share become a config
    #[arg(long)]
    share_env: bool,
    /// All that env files set goes to the Secret
    #[arg(long, value_enum, value_name = "WHAT")]
    env_files_as: Option<EnvFilesAs>,
    /// What limits without a reservation set aside: none
    #[arg(long, value_enum, value_name = "WHAT")]
    requests: Option<Requests>,
    /// Checks by curl and wget become those of the node: http
    #[arg(long, value_enum, value_name = "WHAT")]
    probes: Option<Probes>,
    /// Anonymous volumes are kept: volume
    #[arg(long, value_enum, value_name = "WHAT")]
    anonymous: Option<Anonymous>,
    /// Secrets get a hash of what is in them in their names, so that another value rolls out like any change
    #[arg(long)]
    secret_hash: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EnvFilesAs {
    Secret,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Requests {
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Probes {
    Http,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Anonymous {
    Volume,
}

impl ChoiceArgs {
    pub(in crate::cli) fn choices(&self) -> Choices {
        Choices {
            allow: self.allow.iter().cloned().collect(),
            images: self.image.iter().cloned().collect(),
            registry: self.registry.clone(),
            tag: self.tag.clone(),
            publish: self.publish,
            ingress_class: self.ingress_class.clone(),
            binds: self.bind.iter().cloned().collect(),
            volumes: self.volume.iter().cloned().collect(),
            default_size: self.default_size.clone(),
            storage_classes: self.storage_class_map.iter().cloned().collect(),
            jobs: self.job.iter().cloned().collect(),
            no_jobs: self.no_job.iter().cloned().collect(),
            gpus: self.gpu.iter().cloned().collect(),
            assume_healthy: self.assume_healthy.iter().cloned().collect(),
            models: self.model.iter().cloned().collect(),
            share_env: self.share_env,
            env_files_secret: self.env_files_as.is_some(),
            no_requests: self.requests.is_some(),
            http_probes: self.probes.is_some(),
            anonymous_volumes: self.anonymous.is_some(),
            secret_hash: self.secret_hash,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    if name.is_empty() || value.is_empty() {
        Err("must be NAME=VALUE".to_owned())
    } else {
        Ok((name.into(), value.into()))
    }
}

fn count(text: &str) -> Result<(String, u32), String> {
    let (name, value) = pair(text)?;
    let count = value.parse().ok().filter(|count| (1..=64).contains(count)).ok_or("must be a number from 1 to 64")?;
    Ok((name, count))
}

fn publish(text: &str) -> Result<PublishType, String> {
    match text.to_ascii_lowercase().as_str() {
        "clusterip" => Ok(PublishType::ClusterIP),
        "nodeport" => Ok(PublishType::NodePort),
        "loadbalancer" => Ok(PublishType::LoadBalancer),
        _ => Err("must be ClusterIP, NodePort or LoadBalancer".to_owned()),
    }
}

fn bind(text: &str) -> Result<(String, BindAs), String> {
    let (path, what) = pair(text)?;
    let what = match what.as_str() {
        "volume" => BindAs::Volume,
        "ephemeral" => BindAs::Ephemeral,
        "config" => BindAs::Config,
        "hostpath" => BindAs::HostPath,
        "drop" => BindAs::Drop,
        _ => return Err("must be volume, ephemeral, config, hostpath or drop".to_owned()),
    };
    Ok((path, what))
}

fn volume(text: &str) -> Result<(String, VolumeAs), String> {
    let (name, what) = pair(text)?;
    let what = match what.as_str() {
        "claim" => VolumeAs::Claim,
        "rwx" => VolumeAs::ReadWriteMany,
        "rwop" => VolumeAs::ReadWriteOncePod,
        "ephemeral" => VolumeAs::Ephemeral,
        "secret" => VolumeAs::Secret,
        _ => return Err("must be claim, rwx, rwop, ephemeral or secret".to_owned()),
    };
    Ok((name, what))
}
