//! `issuecommand policy rollback`: a ranker that was in force before is so again, and the trial that a promotion
//! had ended goes on. A trial that somebody gave up does not.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use issuecommand::api::Call;
use issuecommand::config::{
    CandidateConfig, EditError, Loaded, PolicyConfig, RankerConfig, manifest_path, signature_path, with_candidate,
    with_ranker,
};
use issuecommand::domain::PolicyStamp;
use issuecommand::store::{EvidenceRecord, OnTrialRecord, PolicySetKept, PolicySetRecord};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::door::{Door, DoorArgs, read};
use super::super::runtime;
use super::super::show::Format;
use super::super::table::{Table, long, number, text};
use super::in_force::{Change, file_of, is_same, stamp_of};

/// Where components are put that the configuration's folder has no more, relative to it.
const FOLDER: &str = "policies";

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Put the ranker of this set back, instead of the last one that was another than the present one
    #[arg(long, value_name = "ID")]
    to: Option<u64>,
    /// Print the sets that were in force, and change nothing
    #[arg(long)]
    list: bool,
    /// Print them as JSON, for scripts
    #[arg(long, requires = "list")]
    json: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Deserialize)]
struct History {
    sets: Vec<PolicySetKept>,
}

#[derive(Debug, Deserialize)]
struct Piece {
    piece_count: u32,
    bytes_hex: String,
}

pub fn run(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        return list(args);
    }
    let loaded = args.door.load_to_edit()?;
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        let History { sets } = door.ask_for(Call::PolicyHistory, Value::Null).await?;
        let present = match &door {
            Door::Server(_) => sets.first().map(|set| set.record.ranker_stamp.clone()),
            // What the file names may never have been in force.
            Door::Store(..) => stamp_of(&loaded, &loaded.config.policies.ranker).ok(),
        };
        let target = chosen(&sets, args.to, present.as_ref())?;
        let ranker =
            with_components(&door, &loaded, &target.record, &target.record.ranker, &target.record.parts).await?;
        let stamp = stamp_of(&loaded, &ranker).with_context(|| {
            format!("set {} cannot be put back, nothing was changed (--list prints the others)", target.set_id)
        })?;
        let trial = Trial::after(&door, &loaded, &stamp, present.as_ref(), &target.record).await;
        if !is_same(&stamp, &target.record.ranker_stamp) {
            bail!(
                "a built-in policy is another in this version of the server: set {} cannot be put back",
                target.set_id
            );
        }
        let file = file_of(&loaded)?;
        let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        let text = trial.put_in(with_ranker(&text, &ranker)?)?;
        let told = format!("{} ({})", stamp.source, stamp.digest.get(..12).unwrap_or(&stamp.digest));
        let to = format!("to set {}", target.set_id);
        let note = Some(args.note.as_ref().map_or_else(|| to.clone(), |note| format!("{to}; {note}")));
        let change = Change { loaded: &loaded, text, ranker: stamp, action: "rolled_back", note };
        let outcome = change.make(&door).await?;
        trial.tell();
        anstream::println!("rolled back to {told} of {}: {}", target.at.format("%Y-%m-%d %H:%M"), outcome.told());
        if args.to.is_none() {
            anstream::println!("(once more undoes this; --list prints what was in force before, for --to)");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async { args.door.open().await?.ask(Call::PolicyHistory, Value::Null).await })?;
    let History { sets } = read(&answer)?;
    Format { json: args.json }.show(&answer, || tell(&sets));
    Ok(ExitCode::SUCCESS)
}

/// The set to put back, instead of what is `present`: a second rollback undoes the first.
fn chosen<'s>(
    sets: &'s [PolicySetKept],
    to: Option<u64>,
    present: Option<&PolicyStamp>,
) -> anyhow::Result<&'s PolicySetKept> {
    if let Some(set_id) = to {
        let found = sets.iter().find(|set| set.set_id == set_id);
        return found.with_context(|| format!("there is no set {set_id} in the history; --list prints it"));
    }
    if sets.is_empty() {
        bail!("no policy has been in force yet");
    }
    let other = sets.iter().find(|set| present.is_none_or(|present| !is_same(&set.record.ranker_stamp, present)));
    other.context("no other ranker has been in force, as far back as the history goes")
}

/// What becomes of the trial.
enum Trial {
    /// It is as the configuration says.
    AsItIs,
    /// The candidate is the ranker now: there is nothing to try.
    Over,
    /// The promotion had ended it; the candidate is on trial again.
    GoesOn(CandidateConfig),
    /// The same, but for this reason it is not.
    Lost(String),
    /// No promotion had ended it: this was on trial then, and stays off it.
    GivenUp(String),
}

impl Trial {
    /// With the ranker of `stamp` put back from `record`. A candidate that was configured since then stays; the one
    /// of then comes back where it is the ranker that is replaced now, `present`.
    async fn after(
        door: &Door,
        loaded: &Loaded,
        stamp: &PolicyStamp,
        present: Option<&PolicyStamp>,
        record: &PolicySetRecord,
    ) -> Self {
        if let Some(on_trial) = &loaded.config.policies.candidate {
            let is_put_back = stamp_of(loaded, &on_trial.ranker).is_ok_and(|it| is_same(&it, stamp));
            return if is_put_back { Self::Over } else { Self::AsItIs };
        }
        let Some(before) = &record.candidate else { return Self::AsItIs };
        if !present.is_some_and(|replaced| is_same(replaced, before)) {
            return Self::GivenUp(before.source.clone());
        }
        let Some(OnTrialRecord { config, parts }) = &record.on_trial else {
            return Self::Lost("the history does not say how it was configured".to_owned());
        };
        let ranker = match with_components(door, loaded, record, &config.ranker, parts).await {
            Ok(ranker) => ranker,
            Err(error) => return Self::Lost(format!("{error:#}")),
        };
        match stamp_of(loaded, &ranker) {
            Ok(it) if is_same(&it, before) => Self::GoesOn(CandidateConfig { ranker, ..config.clone() }),
            Ok(_) => Self::Lost("a built-in policy is another in this version of the server".to_owned()),
            Err(error) => Self::Lost(format!("{error:#}")),
        }
    }

    /// The configuration's text, with the trial as it is to be.
    fn put_in(&self, text: String) -> Result<String, EditError> {
        match self {
            Self::AsItIs | Self::Lost(_) | Self::GivenUp(_) => Ok(text),
            Self::Over => with_candidate(&text, None),
            Self::GoesOn(candidate) => with_candidate(&text, Some(candidate)),
        }
    }

    fn tell(&self) {
        match self {
            Self::AsItIs => {}
            Self::Over => anstream::println!("the candidate is the ranker now, so its trial is over"),
            Self::GoesOn(it) => {
                anstream::println!("{} is on trial again ({}), as it was then", it.ranker.source, it.mode.as_str());
            }
            Self::GivenUp(source) => {
                anstream::println!(
                    "{source} was on trial then and is not now; set [policies.candidate] to try it again"
                );
            }
            Self::Lost(why) => {
                anstream::println!("the candidate of then is not on trial again: {why}; set [policies.candidate]");
            }
        }
    }
}

/// The ranker of `record` with components that are there: one whose file is another now is put beside the
/// configuration, with its signatures. Nothing is written unless all can be.
async fn with_components(
    door: &Door,
    loaded: &Loaded,
    record: &PolicySetRecord,
    ranker: &RankerConfig,
    stamps: &[PolicyStamp],
) -> anyhow::Result<RankerConfig> {
    let mut ranker = ranker.clone();
    let RankerConfig { base, stage } = &mut ranker;
    let (mut files, mut told) = (Vec::new(), Vec::new());
    let parts = [base].into_iter().chain(stage.iter_mut().map(|stage| &mut stage.policy));
    for (policy, stamp) in parts.zip(stamps) {
        let Some(file) = policy.component_path(&loaded.folder) else { continue };
        let is_there = std::fs::read(&file).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == stamp.digest);
        if !is_there {
            let short = stamp.digest.get(..12).unwrap_or(&stamp.digest);
            let source = format!("{FOLDER}/{short}.wasm");
            let file = loaded.folder.join(&source);
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
            files.push((file, component(door, &stamp.digest).await?));
            told.push(format!("{} is another file now; the one of then is {source}", policy.source));
            *policy = PolicyConfig { source, sha256: Some(stamp.digest.clone()), ..policy.clone() };
        }
    }
    for (file, bytes) in files {
        write(&file, &bytes)?;
    }
    for line in told {
        anstream::println!("{line}");
    }
    Ok(ranker)
}

/// A component out of the history.
async fn component(door: &Door, digest: &str) -> anyhow::Result<Vec<u8>> {
    let (mut bytes, mut piece, mut piece_count) = (Vec::new(), 0, 1);
    while piece < piece_count {
        let part: Piece = door.ask_for(Call::PolicyComponent, json!({ "digest": digest, "piece": piece })).await?;
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

fn tell(sets: &[PolicySetKept]) {
    let texts = ["when (UTC)", "ranker", "settings", "source"].map(text);
    let mut table = Table::of([number("set")].into_iter().chain(texts).chain([long("why")]));
    for PolicySetKept { set_id, at, why, by, record } in sets {
        let stamp = &record.ranker_stamp;
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        let by = by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        table.row([
            set_id.to_string(),
            at.format("%Y-%m-%d %H:%M:%S").to_string(),
            short(&stamp.digest),
            short(&stamp.settings_digest),
            stamp.source.clone(),
            format!("{why}{by}"),
        ]);
    }
    table.print();
}
