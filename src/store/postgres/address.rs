//! Where a PostgreSQL server is, and how its sessions are set up.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::{Client, Config, NoTls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::sql::connection::Connection;
use super::super::sql::value::{Error, Result};
use super::Session;
use crate::config::Secret;

/// A server that takes longer to be reached is taken for gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Unacknowledged data for so long, and the connection is taken for cut: far below the system's quarter of an hour.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A connection that is silent for so long is asked whether it is there, so often, every so many seconds.
const PROBE_COUNT: u32 = 2;
const PROBE_EVERY: Duration = Duration::from_secs(3);
/// The oldest that is let in: 13. Tried was 15 alone.
const VERSION_MIN: i32 = 130_000;

/// What every session is told first. A statement waits for nobody longer than `lock_timeout`, and a server that
/// falls silent inside a transaction, stopped or cut off, keeps the others waiting no longer than
/// `idle_in_transaction_session_timeout`: it comes first, so that others get their turn instead of an error.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '4s'; SET TimeZone = 'UTC'; SET client_min_messages = 'warning'";

/// Where the database is.
#[derive(Debug, Clone)]
pub(in crate::store) struct Address {
    url: Secret,
    ca_file: Option<PathBuf>,
}

impl Address {
    /// The database at `url`, whose server shows a certificate by the system's authorities, or by those of `ca_file`.
    pub(in crate::store) fn new(url: Secret, ca_file: Option<PathBuf>) -> Self {
        Self { url, ca_file }
    }

    /// A session that may write.
    pub(super) fn client(&self) -> Result<Client> {
        let mut config: Config = self.url.expose().parse().map_err(|error| unavailable("its URL is wrong", &error))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.tcp_user_timeout(SILENCE_MAX).keepalives_idle(SILENCE_MAX);
        config.keepalives_interval(PROBE_EVERY).keepalives_retries(PROBE_COUNT);
        // Of several hosts only the one that takes writes has seen every commit.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("issuecommand");
        }
        let asks_for_tls = config.get_ssl_mode() == SslMode::Require;
        let connected = if (is_near(&config) && !asks_for_tls) || config.get_ssl_mode() == SslMode::Disable {
            config.ssl_mode(SslMode::Disable).connect(NoTls)
        } else {
            config.ssl_mode(SslMode::Require).connect(self.tls()?)
        };
        let mut client = connected?;
        client.batch_execute(SESSION)?;
        make_durable(&mut client)?;
        Ok(client)
    }

    /// A session that may write, for statements.
    pub(in crate::store) fn writing_connection(&self) -> Result<Connection> {
        Ok(Connection::Postgres(Box::new(RefCell::new(Session::new(self.client()?)))))
    }

    /// A session that only reads.
    pub(in crate::store) fn reading_connection(&self) -> Result<Connection> {
        let mut client = self.client()?;
        client.batch_execute("SET default_transaction_read_only = on")?;
        Ok(Connection::Postgres(Box::new(RefCell::new(Session::new(client)))))
    }

    /// A session that copies much, and waits in between for where it goes.
    pub(in crate::store) fn copying_connection(&self) -> Result<Connection> {
        let mut client = self.client()?;
        client.batch_execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")?;
        Ok(Connection::Postgres(Box::new(RefCell::new(Session::new(client)))))
    }

    /// Where it is, without a password.
    pub(in crate::store) fn shown(&self) -> String {
        let Ok(config) = self.url.expose().parse::<Config>() else { return "PostgreSQL".into() };
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".into(),
        };
        format!("PostgreSQL's {} on {host}", config.get_dbname().or(config.get_user()).unwrap_or("database"))
    }

    fn tls(&self) -> Result<MakeRustlsConnect> {
        let mut roots = rustls::RootCertStore::empty();
        match &self.ca_file {
            Some(file) => {
                for certificate in certificates(file)? {
                    roots
                        .add(certificate)
                        .map_err(|error| unavailable("store.ca_file holds a bad certificate", &error))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unavailable("TLS cannot be set up", &error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unavailable(&format!("store.ca_file {} cannot be read", file.display()), &error))
}

/// Whether nothing leaves this machine: then nobody can read along.
fn is_near(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    // An address stands in for its host's name; without either nothing says that it is near.
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    !hosts.is_empty() && hosts.iter().all(is_here) && addresses.iter().all(std::net::IpAddr::is_loopback)
}

/// Refuses a server that is too old, and sees to it that a commit is on the disk when it returns.
fn make_durable(client: &mut Client) -> Result<()> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'), \
         current_setting('server_version')";
    let row = client.query_one(sql, &[])?;
    let (version, synchronous, shown): (i32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if version < VERSION_MIN {
        return Err(Error::Unavailable(format!("PostgreSQL {shown} is too old: 13 or newer is needed")));
    }
    if synchronous == "off" {
        client.batch_execute("SET synchronous_commit = on")?;
    }
    Ok(())
}

fn unavailable(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Unavailable(format!("{what}: {why}"))
}
