//! The log: to standard error, and to a file if one is named. Never to standard output, which belongs
//! to MCP.

mod file;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Mutex;

use tracing::Subscriber;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use self::file::LogFile;
use crate::config::{LogConfig, LogFormat};
use crate::telemetry::{TARGET, Traces};

/// Changes the level while the server runs.
#[derive(Debug, Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is neither a level nor a filter.
    #[error("failed to read the log level {level:?}: {why}")]
    Level {
        /// As it was written.
        level: String,
        /// The parser's words.
        why: String,
    },
    /// The file cannot be opened.
    #[error("failed to open the log file {}; name another one in LOG_FILE or log.file", path.display())]
    File {
        /// As it was named.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A log was set up before.
    #[error("the log was set up already")]
    Twice,
}

/// Sets up the log of this process. Standard error is coloured if it is a terminal and `NO_COLOR` is not
/// set.
///
/// # Errors
/// The level or the file is not usable, or the log was set up before.
pub fn init(config: &LogConfig) -> Result<LogHandle, LogError> {
    init_onto(config, io::stderr, None)
}

/// The same, where what leads to standard error makes room first, for what else is drawn there, and with spans noted for
/// traces beside it.
///
/// # Errors
/// As [`init`].
pub fn init_onto<W>(config: &LogConfig, stderr: W, traces: Option<&Traces>) -> Result<LogHandle, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let coloured = io::stderr().is_terminal() && !no_color;
    let (subscriber, handle) = build(config, stderr, coloured, traces)?;
    subscriber.try_init().map_err(|_| LogError::Twice)?;
    Ok(handle)
}

impl LogHandle {
    /// Another level, or filter, from now on.
    ///
    /// # Errors
    /// What is wrong with it; the level in force stays.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        let filter = filter_of(level).map_err(|error| error.to_string())?;
        self.filter.reload(filter).map_err(|error| error.to_string())
    }
}

/// The filter that `level` names. What the MCP library says of every message and every client's mistake
/// is left out, unless `level` names it: a call is logged once, where it is answered.
fn filter_of(level: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::builder().parse(level)?;
    if level == "off" {
        return Ok(filter);
    }
    // At debug PostgreSQL's client tells the values of statements, secrets' hashes and whole issues among them.
    // Spans for traces would stand before every line that a call logs.
    let traces = format!("{TARGET}=off");
    let quieter = [("rmcp", "rmcp=error"), ("tokio_postgres", "tokio_postgres=info"), (TARGET, &traces)];
    quieter
        .into_iter()
        .filter(|(name, _)| !level.contains(name))
        .try_fold(filter, |filter, (_, directive)| Ok(filter.add_directive(directive.parse()?)))
}

fn build<W>(
    config: &LogConfig,
    writer: W,
    coloured: bool,
    traces: Option<&Traces>,
) -> Result<(impl Subscriber + Send + Sync + 'static, LogHandle), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = &config.level;
    let wrong_level = |error: ParseError| LogError::Level { level: level.clone(), why: error.to_string() };
    let filter = filter_of(level).map_err(wrong_level)?;
    let (filter, handle) = reload::Layer::new(filter);
    let open =
        |path: &PathBuf| LogFile::open(path, config).map_err(|source| LogError::File { path: path.clone(), source });
    let file = config.file.as_ref().map(open).transpose()?;
    // A failed write must not become a line on standard error, nor a panic if that is closed.
    let lines = match config.format {
        LogFormat::Text => fmt::layer().with_writer(writer).with_ansi(coloured).log_internal_errors(false).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(writer).log_internal_errors(false).boxed(),
    };
    let file = file.map(|file| file_layer(config.format, file));
    // Of the log alone: what it leaves out may be traced.
    let log = lines.and_then(file).with_filter(filter);
    Ok((tracing_subscriber::registry().with(log).with(traces.map(Traces::layer)), LogHandle { filter: handle }))
}

fn file_layer<S>(format: LogFormat, file: LogFile) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let layer = fmt::layer().with_writer(Mutex::new(file)).with_ansi(false).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.fmt_fields(FileFields(DefaultFields::new())).boxed(),
        LogFormat::Json => layer.json().boxed(),
    }
}

/// Spans cache their fields by the type that formatted them: with a type of its own the file does not
/// get the colours of standard error.
struct FileFields(DefaultFields);

impl<'w> FormatFields<'w> for FileFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, PoisonError};

    use super::*;

    /// Where lines go instead of standard error.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged under `config` while `work` runs.
    fn logged(config: &LogConfig, coloured: bool, work: impl FnOnce(&LogHandle)) -> String {
        let page = Page::default();
        let writer = page.clone();
        let (subscriber, handle) = build(config, move || writer.clone(), coloured, None).unwrap();
        tracing::subscriber::with_default(subscriber, || work(&handle));
        page.text()
    }

    #[test]
    fn the_level_changes_while_the_server_runs() {
        let text = logged(&LogConfig::default(), false, |handle| {
            tracing::debug!("one");
            handle.set_level("debug").unwrap();
            tracing::debug!("two");
            handle.set_level("issuecommand=loud").unwrap_err();
            tracing::debug!("three");
            handle.set_level("off").unwrap();
            tracing::error!("four");
        });
        let seen = ["one", "two", "three", "four"].map(|word| text.contains(word));
        assert_eq!(seen, [false, true, true, false], "{text}");
    }

    #[test]
    fn spans_for_traces_are_no_part_of_a_line() {
        let config = LogConfig { level: "trace".into(), ..LogConfig::default() };
        let text = logged(&config, false, |_| {
            let _call = tracing::info_span!(target: TARGET, "call").entered();
            tracing::info!("granted");
        });
        assert!(text.contains(" issuecommand::logging::tests: granted"), "{text}");
        assert!(!text.contains("call"), "{text}");
    }

    #[test]
    fn json_lines_are_json() {
        let config = LogConfig { format: LogFormat::Json, ..LogConfig::default() };
        let text = logged(&config, true, |_| tracing::info!(claim.id = 7, "granted"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["level"], &line["fields"]["message"]), (&"INFO".into(), &"granted".into()));
        assert_eq!(line["fields"]["claim.id"], 7);
    }

    #[test]
    fn the_file_gets_the_same_lines_after_those_it_has_and_never_colours() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("issuecommand.log");
        let config = LogConfig { file: Some(path.clone()), ..LogConfig::default() };
        for word in ["first", "second"] {
            let text = logged(&config, true, |_| {
                let _span = tracing::info_span!("sync", repo = "acme/small").entered();
                tracing::info!("{word}");
            });
            assert!(text.contains("\u{1b}["), "{text:?}");
        }
        let file = std::fs::read_to_string(&path).unwrap();
        assert!(file.contains("first") && file.contains("second") && file.contains("acme/small"), "{file}");
        assert!(!file.contains('\u{1b}'), "{file:?}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_told_with_its_name_and_what_to_do() {
        let config = LogConfig { file: Some("/nowhere/at/all.log".into()), ..LogConfig::default() };
        let error = build(&config, io::sink, false, None).err().unwrap().to_string();
        let expected = "failed to open the log file /nowhere/at/all.log; name another one in LOG_FILE or log.file";
        assert_eq!(error, expected, "its source says why");
    }
}
