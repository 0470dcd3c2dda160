//! What of dispatch works only in part, for the health page.

use super::dispatcher::Dispatcher;
use crate::github::SourceError;
use crate::store::StoreError;

impl Dispatcher {
    /// Notes whether anything can begin: paused by somebody, or without what runs containers.
    pub(super) async fn note_health(&self) -> Result<(), StoreError> {
        let paused = self.paused().await?;
        self.manager().note_trouble("dispatch", paused.map(|why| format!("paused: {why}")));
        let config = self.config();
        // Who asks for no work by itself may do without containers.
        let unusable = match config.dispatch.works() {
            true => self.containers(&config).probe().await.err(),
            false => None,
        };
        self.manager().note_trouble("dispatch.containers", unusable.map(|error| error.to_string()));
        Ok(())
    }

    /// Notes how the last write to GitHub went.
    pub(super) fn note_github<T>(&self, written: &Result<T, SourceError>) {
        let trouble = written.as_ref().err().map(ToString::to_string);
        self.manager().note_trouble("dispatch.github", trouble);
    }
}
