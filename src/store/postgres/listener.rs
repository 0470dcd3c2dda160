//! Hears that another server committed, and has the writer look.

use std::time::Duration;

use fallible_iterator::FallibleIterator;
use tracing::{debug, warn};

use super::super::sql::Looker;
use super::Address;
use super::commits::CHANNEL;

/// It looks so often without being told, and as long after the connection was lost: a notification that is lost
/// delays a change by no more.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Listens in a thread of its own, for as long as the writer runs.
pub(in crate::store) fn listen(address: Address, looker: Looker) -> std::io::Result<()> {
    std::thread::Builder::new().name("store-listener".into()).spawn(move || run(&address, &looker)).map(drop)
}

fn run(address: &Address, looker: &Looker) {
    let mut is_told = false;
    while looker.look() {
        if let Err(error) = hear(address, looker) {
            // Once for each outage: what it means is said where writes fail.
            if !std::mem::replace(&mut is_told, true) {
                warn!("other servers' commits are looked for every second only: {error}");
            }
            std::thread::sleep(LOOK_EVERY);
        } else {
            is_told = false;
        }
    }
    debug!("the store's listener ended");
}

/// Registers first and looks then, so that nothing falls between; ends when the writer has ended.
fn hear(address: &Address, looker: &Looker) -> Result<(), super::super::sql::value::Error> {
    let mut client = address.client()?;
    client.batch_execute(&format!("LISTEN {CHANNEL}"))?;
    while looker.look() {
        client.notifications().timeout_iter(LOOK_EVERY).next()?;
        if client.is_closed() {
            return Ok(());
        }
    }
    Ok(())
}
