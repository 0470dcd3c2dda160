//! Images for single repositories, built when what they are made of changes.
//!
//! What a repository brings is read from its mirror as data, and runs only where podman builds: never on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{AgentPackage, CONTAINERFILE, ImageBuild};
use crate::config::ContainersConfig;
use crate::dispatch::container::{ContainerError, Podman};
use crate::dispatch::environment::{DEVCONTAINER_FILES, Devcontainer, NIX};
use crate::dispatch::git::{GitError, Mirror, Sha};
use crate::domain::RepoName;

/// A container file that is meant for agents; its build sees the whole repository.
const OWN_FILE: &str = ".issuecommand/Containerfile";
/// What a flake is made of.
const FLAKE_FILES: [&str; 2] = ["flake.nix", "flake.lock"];
/// Largest file that is read for it, in bytes: lock files of flakes are the largest.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files beside a container file whose change makes a new image.
const FILE_COUNT_MAX: usize = 64;
/// Most files of a repository that are looked through for them.
const LISTED_COUNT_MAX: usize = 100_000;
/// The name of all such images; their tags tell them apart.
const NAME: &str = "localhost/issuecommand-prebuilt";
/// The label by which images of a repository are found again.
const REPO_LABEL: &str = "issuecommand.repo";
/// How much of a digest is in a name, in hexadecimal digits.
const KEY_DIGITS: usize = 16;

/// One build at a time: each takes the whole machine.
static BUILDING: Mutex<()> = Mutex::const_new(());

/// What a repository's image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// Its container file, with the folder that the build sees; both from the root of the repository.
    ContainerFile {
        /// The file.
        file: String,
        /// The folder; empty for the root.
        context: String,
    },
    /// An image that it names.
    Image(String),
    /// The shell of its flake, fetched and built once.
    Flake,
}

/// Why there is no image of a repository's own.
#[derive(Debug, thiserror::Error)]
pub enum PrebuildError {
    /// The mirror.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The build.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// What the repository brings cannot be built.
    #[error("the repository's {file} cannot be built: {why}")]
    Unfit {
        /// Which file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// This machine.
    #[error("could not lay out the files of a build: {0}")]
    Io(#[from] std::io::Error),
}

/// Builds images of repositories.
#[derive(Debug)]
pub struct Prebuilder<'a> {
    /// What builds.
    pub podman: &'a Podman,
    /// The limits and the network of builds, and the image for those who bring none.
    pub config: &'a ContainersConfig,
    /// The agent that must be in it, if it is one that can be put there.
    pub agent: Option<AgentPackage>,
}

impl Prebuilder<'_> {
    /// The image of a repository as it is at a commit, built if it is not there; `None` if the repository brings
    /// nothing to build one of. Older images of it are removed, unless something runs in them.
    pub async fn image(
        &self,
        mirror: &Mirror,
        repo: &RepoName,
        at: &Sha,
        on_line: &mut (dyn FnMut(String) + Send + Sync),
    ) -> Result<Option<String>, PrebuildError> {
        let Some(recipe) = recipe(mirror, at).await? else { return Ok(None) };
        let key = self.key(mirror, repo, at, &recipe).await?;
        let tag = format!("{NAME}:{key}");
        let _turn = BUILDING.lock().await;
        if self.podman.image_id(&tag).await?.is_some() {
            return Ok(Some(tag));
        }
        on_line(format!("building {tag} of the repository's {}", recipe.file()));
        match &recipe {
            Recipe::ContainerFile { file, context } => {
                let own = format!("{tag}-own");
                self.build_own(mirror, repo, at, (file, context), &own, on_line).await?;
                self.build_agents(repo, &own, &tag, on_line).await?;
            }
            Recipe::Image(base) => self.build_agents(repo, base, &tag, on_line).await?,
            Recipe::Flake => self.build_flake(mirror, repo, at, &tag, on_line).await?,
        }
        self.prune(repo, &tag).await?;
        Ok(Some(tag))
    }

    /// What the image is made of, as a name: another one for whatever changes.
    async fn key(&self, mirror: &Mirror, repo: &RepoName, at: &Sha, recipe: &Recipe) -> Result<String, PrebuildError> {
        let mut digest = Sha256::new();
        // The length goes first, so that no two lists of parts read the same.
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(repo.to_string().as_bytes());
        add(format!("{recipe:?} {:?}", self.agent).as_bytes());
        match recipe {
            Recipe::Flake => add(self.podman.image_id(&self.config.base_image).await?.unwrap_or_default().as_bytes()),
            _ => add(CONTAINERFILE.as_bytes()),
        }
        for path in relevant(mirror, at, recipe).await? {
            add(path.as_bytes());
            add(&mirror.show(at, &path, FILE_BYTES_MAX).await?.unwrap_or_default());
        }
        let mut key = hex::encode(digest.finalize());
        key.truncate(KEY_DIGITS);
        Ok(key)
    }

    async fn build_own(
        &self,
        mirror: &Mirror,
        repo: &RepoName,
        at: &Sha,
        (file, context): (&str, &str),
        tag: &str,
        on_line: &mut (dyn FnMut(String) + Send + Sync),
    ) -> Result<(), PrebuildError> {
        let folder = laid_out(mirror, at).await?;
        let unfit = |why: &str| PrebuildError::Unfit { file: file.to_owned(), why: why.to_owned() };
        let context = inside(folder.path(), context).ok_or_else(|| unfit("its context is not in the repository"))?;
        let path = inside(folder.path(), file).ok_or_else(|| unfit("it is not in the repository"))?;
        let mut arguments = vec!["build".to_owned(), format!("--tag={tag}"), format!("--file={}", path.display())];
        arguments.extend(self.bounds(repo));
        arguments.push(context.display().to_string());
        Ok(self.podman.image_build(&arguments, on_line).await?)
    }

    async fn build_agents(
        &self,
        repo: &RepoName,
        base: &str,
        tag: &str,
        on_line: &mut (dyn FnMut(String) + Send + Sync),
    ) -> Result<(), PrebuildError> {
        let build = ImageBuild { base: base.into(), agents: self.agent.into_iter().collect(), tag: tag.into() };
        let folder = ImageBuild::folder()?;
        let arguments = build.arguments(folder.path(), &self.bounds(repo));
        Ok(self.podman.image_build(&arguments, on_line).await?)
    }

    async fn build_flake(
        &self,
        mirror: &Mirror,
        repo: &RepoName,
        at: &Sha,
        tag: &str,
        on_line: &mut (dyn FnMut(String) + Send + Sync),
    ) -> Result<(), PrebuildError> {
        let folder = laid_out(mirror, at).await?;
        let beside = tempfile::tempdir()?;
        let file = beside.path().join("Containerfile");
        fs::write(&file, flake_file(&self.config.base_image))?;
        let mut arguments = vec!["build".to_owned(), format!("--tag={tag}"), format!("--file={}", file.display())];
        arguments.extend(self.bounds(repo));
        arguments.push(folder.path().display().to_string());
        Ok(self.podman.image_build(&arguments, on_line).await?)
    }

    /// What a build may use, and how its image is found again.
    fn bounds(&self, repo: &RepoName) -> Vec<String> {
        let memory = self.config.memory_limit.0;
        vec![
            format!("--label={REPO_LABEL}={repo}"),
            format!("--network={}", self.config.network),
            format!("--memory={memory}b"),
            format!("--memory-swap={memory}b"),
        ]
    }

    async fn prune(&self, repo: &RepoName, tag: &str) -> Result<(), PrebuildError> {
        let own = format!("{tag}-own");
        for name in self.podman.image_names(REPO_LABEL, &repo.to_string()).await? {
            // Whatever was built on top of one has its label too.
            if name.starts_with(NAME) && name != tag && name != own {
                // One in use stays until the next time.
                let _ = self.podman.image_remove(&name).await;
            }
        }
        Ok(())
    }
}

impl Recipe {
    fn file(&self) -> &str {
        match self {
            Self::ContainerFile { file, .. } => file,
            Self::Image(_) => "devcontainer.json",
            Self::Flake => FLAKE_FILES[0],
        }
    }
}

/// What a repository brings: a container file for agents, a devcontainer, or a flake; the first of them.
pub async fn recipe(mirror: &Mirror, at: &Sha) -> Result<Option<Recipe>, PrebuildError> {
    if mirror.show(at, OWN_FILE, FILE_BYTES_MAX).await?.is_some() {
        return Ok(Some(Recipe::ContainerFile { file: OWN_FILE.into(), context: String::new() }));
    }
    for file in DEVCONTAINER_FILES {
        let Some(text) = mirror.show(at, file, FILE_BYTES_MAX).await? else { continue };
        let unfit = |why: String| PrebuildError::Unfit { file: file.to_owned(), why };
        let read = Devcontainer::parse(&String::from_utf8_lossy(&text)).map_err(unfit)?;
        if let Some(build) = read.build {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            let found =
                |path: &str| joined(folder, path).ok_or_else(|| unfit(format!("{path:?} is not in the repository")));
            let (file, context) = (found(&build.dockerfile)?, found(&build.context)?);
            return Ok(Some(Recipe::ContainerFile { file, context }));
        }
        if let Some(image) = read.image {
            return Ok(Some(Recipe::Image(image)));
        }
    }
    let is_flake = mirror.show(at, FLAKE_FILES[0], FILE_BYTES_MAX).await?.is_some();
    Ok(is_flake.then_some(Recipe::Flake))
}

/// The files whose change makes a new image: those of the flake, or the container file and what lies beside it.
async fn relevant(mirror: &Mirror, at: &Sha, recipe: &Recipe) -> Result<Vec<String>, GitError> {
    let file = match recipe {
        Recipe::Image(_) => return Ok(Vec::new()),
        Recipe::Flake => return Ok(FLAKE_FILES.map(str::to_owned).into()),
        Recipe::ContainerFile { file, .. } => file,
    };
    let Some((folder, _)) = file.rsplit_once('/') else { return Ok(vec![file.clone()]) };
    let below = |path: &String| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let listed = mirror.file_list(at, LISTED_COUNT_MAX).await?;
    Ok(listed.into_iter().filter(below).take(FILE_COUNT_MAX).collect())
}

/// The repository's files in a folder of their own: data for a build, which is gone when dropped.
async fn laid_out(mirror: &Mirror, at: &Sha) -> Result<TempDir, PrebuildError> {
    let folder = tempfile::tempdir()?;
    mirror.export(at, folder.path()).await?;
    Ok(folder)
}

/// A path relative to a folder of the repository, from its root; `None` where it leads out of it.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if path.starts_with('/') {
        return None;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Where a path really leads, if that is in the folder: a link may lead anywhere on this machine.
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let root = folder.canonicalize().ok()?;
    root.join(path).canonicalize().ok().filter(|found| found.starts_with(&root))
}

/// Enters a flake's shell once in the image of agents, so that all it needs is there.
fn flake_file(base: &str) -> String {
    let enter: Vec<_> = NIX.iter().map(|word| format!("'{word}'")).collect();
    format!(
        "FROM {base}\n\
         COPY --chown=1000:1000 . /tmp/flake\n\
         RUN cd /tmp/flake && git init --quiet && git add --all --force && {} true && rm -rf /tmp/flake\n",
        enter.join(" ")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_repository() {
        assert_eq!(joined(".devcontainer", "Dockerfile").unwrap(), ".devcontainer/Dockerfile");
        assert_eq!(joined(".devcontainer", "..").unwrap(), "");
        assert_eq!(joined(".devcontainer", "../docker/./dev").unwrap(), "docker/dev");
        assert_eq!(joined(".devcontainer", "../.."), None);
        assert_eq!(joined("", "/etc"), None);
    }

    #[test]
    fn a_link_out_of_the_repository_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("here")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("there")).unwrap();
        std::os::unix::fs::symlink("here", folder.path().join("too")).unwrap();
        assert!(inside(folder.path(), "here").is_some() && inside(folder.path(), "too").is_some());
        assert!(inside(folder.path(), "").is_some());
        assert_eq!(inside(folder.path(), "there"), None);
        assert_eq!(inside(folder.path(), "there/passwd"), None);
    }
}
