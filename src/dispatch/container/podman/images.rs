//! Images: whether they are there, how they are built, and which of them are past use.

use std::time::Duration;

use super::super::{ContainerError, Followed, follow};
use super::Podman;
use super::call::CALL_SECONDS_MAX;

/// Longest build of an image, in seconds.
pub const BUILD_SECONDS_MAX: u64 = 60 * 60;

impl Podman {
    /// The id of an image that is here; `None` if there is none of this name.
    pub async fn image_id(&self, image: &str) -> Result<Option<String>, ContainerError> {
        let mut command = self.program();
        command.args(["image", "inspect", "--format", "{{.Id}}", image]);
        let output = self.output_of(&format!("look for the image {image}"), command, CALL_SECONDS_MAX).await?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !id.is_empty()).then_some(id))
    }

    /// Builds an image, and tells what is printed meanwhile. `arguments` begin with `build`.
    pub async fn image_build(
        &self,
        arguments: &[String],
        on_line: &mut (dyn FnMut(String) + Send + Sync),
    ) -> Result<(), ContainerError> {
        let mut command = self.program();
        command.args(arguments);
        let done = follow(command, Duration::from_secs(BUILD_SECONDS_MAX), on_line).await;
        match done {
            Ok(Followed { code: 0, .. }) => Ok(()),
            Ok(Followed { last, .. }) => Err(self.failed("build the image", last.trim_start_matches("Error: "))),
            Err(why) => Err(self.failed("build the image", &why.to_string())),
        }
    }

    /// The names of all images with a label of this value.
    pub async fn image_names(&self, label: &str, value: &str) -> Result<Vec<String>, ContainerError> {
        let filter = format!("label={label}={value}");
        let arguments = ["images", "--filter", &filter, "--format", "{{.Repository}}:{{.Tag}}"];
        let names = self.call("list images", &arguments).await?;
        Ok(names.lines().filter(|name| !name.contains("<none>")).map(str::to_owned).collect())
    }

    /// Removes an image that no container uses.
    pub async fn image_remove(&self, image: &str) -> Result<(), ContainerError> {
        self.call(&format!("remove the image {image}"), &["rmi", image]).await.map(drop)
    }
}
