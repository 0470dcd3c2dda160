use std::io::{self, Write};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::config::RankerConfig;
use crate::domain::ManualClock;

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The lines that say which policies are in force.
    fn in_force(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().filter(|line| line.contains("policies in force")).map(str::to_owned).collect()
    }
}

#[test]
fn the_log_says_what_is_in_force_whenever_that_is_another_set_be_it_the_one_before() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
    let ((announcements, _news), (taken, _sets)) = (mpsc::channel(8), mpsc::channel(8));
    let (host, first) = (PolicyHost::new(None).unwrap(), PoliciesConfig::default());
    let desk = Desk::open(host, &first, folder.path(), Index::empty(), clock, announcements, taken).unwrap();
    assert_eq!(log.in_force().len(), 1);

    let mut ranker = RankerConfig::default();
    ranker.base.settings.insert("tiers".into(), json!([["urgent"]]));
    let second = PoliciesConfig { ranker, ..first };
    assert_eq!(desk.reload_blocking(&second, folder.path()).unwrap(), Reload::Swapped);
    let settings = |desk: &Desk| desk.current().set.stamps()[0].settings_digest.clone();
    let told = log.in_force();
    assert!(told.len() == 2 && told[1].contains(&settings(&desk)), "{told:#?}");

    desk.step_back(&desk.current());
    let told = log.in_force();
    assert!(told.len() == 3 && told[2].contains(&settings(&desk)), "{told:#?}");
    assert!(!told[1].contains(&settings(&desk)), "another one than before: {told:#?}");
}
