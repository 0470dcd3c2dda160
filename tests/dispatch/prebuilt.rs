//! Images of repositories, built by podman of what a mirror has.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use issuecommand::config::{Bytes, ContainersConfig};
use issuecommand::dispatch::container::{ContainerSpec, Podman};
use issuecommand::dispatch::git::Sha;
use issuecommand::dispatch::image::{PrebuildError, Prebuilder, Recipe, recipe};
use issuecommand::domain::RepoName;

use super::containers::{Bed, spec};
use super::environments::FLAKE;
use super::git::{World, git};
use super::image::{AGENT_IMAGE, BASE_IMAGE, podman_with_agents, podman_with_base};

/// A repository, what builds its images, and the names of those that are there.
struct Yard {
    world: World,
    repo: RepoName,
    podman: Podman,
    program: String,
    config: ContainersConfig,
}

impl Yard {
    async fn new(program: String, repo: &str) -> Self {
        // Nothing is fetched: a build that needs the network would fail.
        let config = ContainersConfig {
            base_image: AGENT_IMAGE.into(),
            network: "none".into(),
            memory_limit: Bytes(1 << 30),
            ..ContainersConfig::default()
        };
        let world = World::new().await;
        let repo = format!("test/{repo}-{}", std::process::id()).parse().unwrap();
        Self { world, repo, podman: Podman::new(program.clone(), None), program, config }
    }

    /// Writes files, as somebody pushes them.
    async fn pushed(&self, files: &[(&str, &str)]) -> Sha {
        let folder = self.world.scratch.path().join("seed");
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.pushed_as_it_is().await
    }

    async fn pushed_as_it_is(&self) -> Sha {
        let folder = self.world.scratch.path().join("seed");
        git(&folder, &["add", "--all"]);
        git(&folder, &["commit", "--quiet", "--message", "Change"]);
        git(&folder, &["push", "--quiet", self.world.upstream.to_str().unwrap(), "main"]);
        self.world.mirror.fetch(&self.world.remote).await.unwrap();
        self.world.base().await
    }

    async fn image(&self, at: &Sha) -> Result<(Option<String>, Vec<String>), PrebuildError> {
        let builder = Prebuilder { podman: &self.podman, config: &self.config, agent: None };
        let mut told = Vec::new();
        let image = builder.image(&self.world.mirror, &self.repo, at, &mut |line| told.push(line)).await;
        image.map(|image| (image, told))
    }

    async fn names(&self) -> Vec<String> {
        self.podman.image_names("issuecommand.repo", &self.repo.to_string()).await.unwrap()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let filter = format!("label=issuecommand.repo={}", self.repo);
        let images = Command::new(&self.program).args(["images", "--quiet", "--filter", &filter]).output().unwrap();
        let images = String::from_utf8(images.stdout).unwrap();
        let _ = Command::new(&self.program).args(["rmi", "--force"]).args(images.split_whitespace()).output();
    }
}

#[tokio::test]
async fn a_container_file_becomes_an_image_that_agents_work_in_and_another_when_it_changes() {
    let Some(program) = podman_with_base() else { return };
    let yard = Yard::new(program.clone(), "own").await;
    let file = format!("FROM {BASE_IMAGE}\nCOPY tools/it /usr/local/bin/it\nRUN chmod 755 /usr/local/bin/it\n");
    let tool = "#!/bin/sh\necho of the repository\n";
    let first = yard.pushed(&[(".issuecommand/Containerfile", &file), ("tools/it", tool)]).await;
    let (image, told) = yard.image(&first).await.unwrap();
    let image = image.unwrap();
    assert!(told.iter().any(|line| line.contains("COPY tools/it")), "{told:#?}");

    let bed = Bed::of(program, ContainerSpec { image: image.clone(), ..spec("prebuilt") }).await;
    assert_eq!(bed.printed("it; id -u").await, "of the repository\n1000");
    drop(bed);

    let unrelated = yard.pushed(&[("README.md", "other words\n")]).await;
    let (again, told) = yard.image(&unrelated).await.unwrap();
    assert_eq!((again.as_ref(), told), (Some(&image), Vec::new()), "nothing that matters has changed");

    let changed = yard.pushed(&[(".issuecommand/Containerfile", &(file + "RUN touch /changed\n"))]).await;
    let (other, _) = yard.image(&changed).await.unwrap();
    let other = other.unwrap();
    assert_ne!(other, image);
    let names = yard.names().await;
    assert!(names.contains(&other) && !names.contains(&image), "the older one is gone: {names:?}");
}

#[tokio::test]
async fn a_flakes_shell_is_built_into_the_image() {
    let Some(program) = podman_with_agents() else { return };
    let yard = Yard::new(program.clone(), "flake").await;
    let at = yard.pushed(&[("flake.nix", FLAKE), ("stdenv/setup", "# nothing\n")]).await;
    let (image, told) = yard.image(&at).await.unwrap_or_else(|error| panic!("{error}"));
    let image = image.unwrap();
    let bed = Bed::of(program, ContainerSpec { image, ..spec("preflake") }).await;
    let store = bed.printed("ls /nix/store").await;
    assert!(store.contains("-shell"), "{store}\n{told:#?}");
}

#[tokio::test]
async fn what_a_repository_brings_is_read_as_data() {
    let Some(program) = podman_with_base() else { return };
    let yard = Yard::new(program, "data").await;
    let mirror = &yard.world.mirror;
    assert_eq!(recipe(mirror, &yard.world.base().await).await.unwrap(), None);

    let at = yard.pushed(&[("flake.nix", "{ }")]).await;
    assert_eq!(recipe(mirror, &at).await.unwrap(), Some(Recipe::Flake));
    let at = yard.pushed(&[(".devcontainer.json", r#"{ "image": "debian:bookworm" }"#)]).await;
    assert_eq!(recipe(mirror, &at).await.unwrap(), Some(Recipe::Image("debian:bookworm".into())));
    let built = r#"{ "build": { "dockerfile": "Dockerfile", "context": ".." } }"#;
    let at = yard.pushed(&[(".devcontainer/devcontainer.json", built), (".devcontainer/Dockerfile", "FROM x\n")]).await;
    let expected = Recipe::ContainerFile { file: ".devcontainer/Dockerfile".into(), context: String::new() };
    assert_eq!(recipe(mirror, &at).await.unwrap(), Some(expected));
}

#[tokio::test]
async fn a_build_sees_nothing_of_this_machine() {
    let Some(program) = podman_with_base() else { return };
    let yard = Yard::new(program, "hostile").await;
    let outside = r#"{ "build": { "dockerfile": "Dockerfile", "context": "../.." } }"#;
    let at = yard.pushed(&[(".devcontainer/devcontainer.json", outside)]).await;
    let error = yard.image(&at).await.unwrap_err().to_string();
    assert!(error.contains("not in the repository"), "{error}");

    let through_link = r#"{ "build": { "dockerfile": "Dockerfile", "context": "../link" } }"#;
    yard.pushed(&[(".devcontainer/devcontainer.json", through_link), (".devcontainer/Dockerfile", "FROM x\n")]).await;
    let seed = yard.world.scratch.path().join("seed");
    symlink("/etc", seed.join("link")).unwrap();
    let at = yard.pushed_as_it_is().await;
    let error = yard.image(&at).await.unwrap_err();
    assert!(matches!(error, PrebuildError::Unfit { .. }), "{error}");

    fs::remove_file(seed.join(".devcontainer/Dockerfile")).unwrap();
    symlink("/etc/passwd", seed.join(".devcontainer/Dockerfile")).unwrap();
    fs::write(seed.join(".devcontainer/devcontainer.json"), r#"{ "build": { "dockerfile": "Dockerfile" } }"#).unwrap();
    let at = yard.pushed_as_it_is().await;
    let error = yard.image(&at).await.unwrap_err();
    assert!(matches!(error, PrebuildError::Unfit { .. }) && !error.to_string().contains("root:"), "{error}");
}
