//! C.

use crate::authoring::{AuthoringError, Project};

pub(super) fn build(_: &Project, _: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>, AuthoringError> {
    Err(AuthoringError::ToolMissing("C is not built yet".into()))
}
