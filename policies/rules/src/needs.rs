//! What an agent must be able to do, or belong to, to get certain issues.

use issuecommand_policy::{Candidate, Request, glob_matches, name_key};

use crate::settings::{Need, OneOrMore};

/// Most entries of `needs`.
const NEED_COUNT_MAX: usize = 64;

/// A compiled need.
#[derive(Debug)]
pub struct CompiledNeed {
    on: On,
    pattern: String,
    kind: Kind,
    /// Of these one suffices.
    names: Vec<String>,
}

/// Which names of an issue the pattern is put to.
#[derive(Debug, Clone, Copy)]
enum On {
    Label,
    Topic,
    Repo,
    Area,
}

impl On {
    fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Topic => "topic",
            Self::Repo => "repo",
            Self::Area => "area",
        }
    }
}

/// What is asked of the agent.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Skill,
    Group,
}

/// Compiles `needs`.
///
/// # Errors
/// Which key cannot work, and what would.
pub fn compile(needs: &[Need]) -> Result<Vec<CompiledNeed>, String> {
    if needs.len() > NEED_COUNT_MAX {
        return Err(format!("needs: {} entries, at most {NEED_COUNT_MAX} are allowed", needs.len()));
    }
    needs.iter().enumerate().map(|(at, need)| compile_need(need, &format!("needs[{at}]"))).collect()
}

fn compile_need(need: &Need, key: &str) -> Result<CompiledNeed, String> {
    let patterns = [(On::Label, &need.label), (On::Topic, &need.topic), (On::Repo, &need.repo), (On::Area, &need.area)];
    let mut patterns = patterns.into_iter().filter_map(|(on, text)| Some((on, text.as_deref()?)));
    let (Some((on, pattern)), None) = (patterns.next(), patterns.next()) else {
        return Err(format!("{key}: give one of label, topic, repo and area, to say which issues are meant"));
    };
    let (kind, names) = match (&need.skill, &need.group) {
        (Some(skills), None) => (Kind::Skill, names(skills).iter().map(|name| as_word(name)).collect()),
        (None, Some(groups)) => (Kind::Group, names(groups)),
        _ => return Err(format!("{key}: give either skill or group, to say what the agent needs")),
    };
    let pattern = name_key(pattern);
    if pattern.is_empty() || names.is_empty() || names.iter().any(String::is_empty) {
        return Err(format!("{key}: a text is empty"));
    }
    if names.iter().any(|name| name.contains('*')) && (pattern.matches('*').count() != 1 || pattern.contains('?')) {
        return Err(format!(
            "{key}: \"*\" stands for what the one \"*\" of {} fits, and there is not one",
            on.as_str()
        ));
    }
    Ok(CompiledNeed { on, pattern, kind, names })
}

/// A skill is one word: white space and commas of a name become hyphens.
fn as_word(name: &str) -> String {
    let parts = name.split(|sign: char| sign.is_whitespace() || sign == ',').filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

fn names(names: &OneOrMore) -> Vec<String> {
    names.clone().into_vec().iter().map(|name| name_key(name)).collect()
}

impl CompiledNeed {
    /// What the asking agent lacks for `candidate`, in a sentence; `None` if nothing.
    pub fn lacking(&self, request: &Request, candidate: &Candidate<'_>) -> Option<String> {
        match self.on {
            On::Label => candidate.labels().find_map(|name| self.lacking_for(request, name)),
            On::Topic => candidate.topics().find_map(|name| self.lacking_for(request, name)),
            On::Area => candidate.areas().find_map(|name| self.lacking_for(request, name)),
            On::Repo => self.lacking_for(request, candidate.repo()),
        }
    }

    fn lacking_for(&self, request: &Request, name: &str) -> Option<String> {
        let key = name_key(name);
        if !glob_matches(&self.pattern, &key) {
            return None;
        }
        let starred = match self.kind {
            Kind::Skill => as_word(self.starred(&key)),
            Kind::Group => self.starred(&key).to_owned(),
        };
        let wanted: Vec<_> = self.names.iter().map(|name| name.replace('*', &starred)).collect();
        let has = |wanted: &String| match self.kind {
            Kind::Skill => request.has_skill(wanted),
            Kind::Group => request.is_in_group(wanted),
        };
        if wanted.iter().any(has) {
            return None;
        }
        let (wanted, on) = (wanted.join(" or "), self.on.as_str());
        Some(match self.kind {
            Kind::Skill => format!("needs the skill {wanted}, for {on} {name}; an agent states skills when it asks"),
            Kind::Group => format!("is for agents of the group {wanted}, for {on} {name}"),
        })
    }

    /// The part of `name` that the pattern's one `*` stands for; nothing if it has not one.
    fn starred<'n>(&self, name: &'n str) -> &'n str {
        let part = self.pattern.split_once('*').and_then(|(head, tail)| name.strip_prefix(head)?.strip_suffix(tail));
        part.unwrap_or_default()
    }
}
