//! Components that the configuration's folder has no more, out of the history.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Ground, Way, ask_for};
use crate::api::Call;
use crate::config::{PolicyConfig, RankerConfig, manifest_path, signature_path};
use crate::domain::PolicyStamp;
use crate::store::{EvidenceRecord, PolicySetRecord};

/// Where they are put, relative to the configuration's folder.
const FOLDER: &str = "policies";

#[derive(Debug, Deserialize)]
struct Piece {
    piece_count: u32,
    bytes_hex: String,
}

/// `ranker`, which `record` has with the components of `stamps`, with components that are there: one whose file is
/// another now is put beside the configuration, with its signatures, and `said` gets a line about it. Nothing is
/// written unless all can be.
pub(super) async fn with_components(
    way: &dyn Way,
    ground: &Ground,
    record: &PolicySetRecord,
    ranker: &RankerConfig,
    stamps: &[PolicyStamp],
    said: &mut Vec<String>,
) -> anyhow::Result<RankerConfig> {
    let folder = &ground.loaded.folder;
    let mut ranker = ranker.clone();
    let RankerConfig { base, stage } = &mut ranker;
    let (mut files, mut told) = (Vec::new(), Vec::new());
    let parts = [base].into_iter().chain(stage.iter_mut().map(|stage| &mut stage.policy));
    for (policy, stamp) in parts.zip(stamps) {
        let Some(file) = policy.component_path(folder) else { continue };
        let is_there = std::fs::read(&file).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == stamp.digest);
        if !is_there {
            let short = stamp.digest.get(..12).unwrap_or(&stamp.digest);
            let source = format!("{FOLDER}/{short}.wasm");
            let file = folder.join(&source);
            match (&policy.signed_by, record.evidence.get(&stamp.digest)) {
                (Some(_), Some(EvidenceRecord { bundles, manifest })) => {
                    files.extend(manifest.iter().map(|it| (manifest_path(&file), it.clone().into_bytes())));
                    files.push((signature_path(&file), bundles.clone().into_bytes()));
                }
                (Some(signer), None) if !signature_path(&file).is_file() => bail!(
                    "{} of then ({short}) must be signed by {signer}, and the history does not have its signatures: put \
                     its bundle there as {}, and the manifest that it is of, if it is of a registry's, as {}; then roll \
                     back again",
                    policy.source,
                    signature_path(&file).display(),
                    manifest_path(&file).display(),
                ),
                _ => {}
            }
            files.push((file, component(way, &stamp.digest).await?));
            told.push(format!("{} is another file now; the one of then is {source}", policy.source));
            *policy = PolicyConfig { source, sha256: Some(stamp.digest.clone()), ..policy.clone() };
        }
    }
    for (file, bytes) in files {
        write(&file, &bytes)?;
    }
    said.extend(told);
    Ok(ranker)
}

/// A component out of the history.
async fn component(way: &dyn Way, digest: &str) -> anyhow::Result<Vec<u8>> {
    let (mut bytes, mut piece, mut piece_count) = (Vec::new(), 0, 1);
    while piece < piece_count {
        let part: Piece = ask_for(way, Call::PolicyComponent, json!({ "digest": digest, "piece": piece })).await?;
        bytes.extend(hex::decode(&part.bytes_hex).context("the server sent something else than a component")?);
        (piece, piece_count) = (piece + 1, part.piece_count);
    }
    if hex::encode(Sha256::digest(&bytes)) != digest {
        bail!("the component {digest} came out of the history damaged");
    }
    Ok(bytes)
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let attempt = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut part = tempfile::NamedTempFile::new_in(folder)?;
        part.write_all(bytes)?;
        part.persist(file)?;
        Ok(())
    };
    attempt().with_context(|| format!("failed to write {}", file.display()))
}
