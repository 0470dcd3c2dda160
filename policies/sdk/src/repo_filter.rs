//! Repository filters: which repositories take part.

use serde::de::DeserializeOwned;

use crate::column::{Column, TextLists};
use crate::per_name::PerName;
use crate::rows::rows;
use crate::wit::repositories as facts;
use crate::wit::types::Exclusion;

/// Says which repositories take part. Register it with
/// [`export_repo_filter!`](crate::export_repo_filter).
///
/// ```
/// use issuecommand_policy::{RepoFilter, Repository};
///
/// /// Repositories whose owners said so, by a topic.
/// struct ByTopic;
///
/// impl RepoFilter for ByTopic {
///     type Settings = std::collections::BTreeMap<String, String>;
///
///     fn new(_: Self::Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn exclude(&self, repository: &Repository<'_>) -> Option<String> {
///         let is_ready = repository.topics().any(|topic| topic == "agents");
///         (!is_ready).then(|| "has no topic agents".to_owned())
///     }
/// }
///
/// issuecommand_policy::export_repo_filter!(ByTopic);
///
/// use issuecommand_policy::testing::{exclude, repository};
/// let excluded = exclude(&ByTopic, [repository("acme/app").topic("agents"), repository("acme/docs")]);
/// assert_eq!(excluded, [None, Some("has no topic agents".to_owned())]);
/// ```
pub trait RepoFilter: Sized + 'static {
    /// The `[policies.repo_filter.settings]` of issuecommand.toml.
    type Settings: DeserializeOwned;

    /// Takes the settings.
    ///
    /// # Errors
    /// What cannot work, naming the key and what is allowed; the server then keeps the policy it has.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// Why `repository` takes no part; `None` admits it. People and agents read the reason. Judge each by itself: the
    /// others may be left out of a call. Claims that are live in one that is left out stay.
    fn exclude(&self, repository: &Repository<'_>) -> Option<String>;

    /// A JSON Schema of the settings, as text: the server and `issuecommand policy check` hold the settings to it, and
    /// `inspect` lists its keys. Without it any object fits. Only references within it are followed, as `#/$defs/NAME`.
    fn settings_schema() -> String {
        crate::settings::ANY_OBJECT.to_owned()
    }
}

/// The repositories that one call is about. Reads from the host only what a policy asks for.
#[derive(Debug, Default)]
pub struct Repositories {
    pub(crate) count: usize,
    pub(crate) names: Column<String>,
    pub(crate) topics: TextLists,
    pub(crate) archived: Column<bool>,
    pub(crate) forks: Column<bool>,
    pub(crate) private: Column<bool>,
}

rows!(Repositories of Repository);

/// A repository that may take part.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    facts: &'a Repositories,
    row: usize,
}

impl<'a> Repository<'a> {
    /// `owner/name`, in lower case.
    pub fn name(&self) -> &'a str {
        &self.facts.names.get_or_init(facts::names)[self.row]
    }

    /// Its topics, in lower case, in GitHub's order.
    pub fn topics(&self) -> impl Iterator<Item = &'a str> {
        self.facts.topics.row(self.row, facts::topics)
    }

    /// Whether any topic means something to `topics`.
    pub fn has_topic_in<T: Copy>(&self, topics: &PerName<T>) -> bool {
        self.facts.topics.fold(self.row, facts::topics, topics, false, |_, _| true)
    }

    /// Whether it is archived, and so read-only.
    pub fn is_archived(&self) -> bool {
        self.facts.archived.get_or_init(facts::archived)[self.row]
    }

    /// Whether it is a fork.
    pub fn is_fork(&self) -> bool {
        self.facts.forks.get_or_init(facts::forks)[self.row]
    }

    /// Whether GitHub shows it to members only.
    pub fn is_private(&self) -> bool {
        self.facts.private.get_or_init(facts::private)[self.row]
    }
}

pub(crate) fn exclude_all<F: RepoFilter>(filter: &F, repositories: &Repositories) -> Vec<Exclusion> {
    let excluded = repositories.iter().enumerate().filter_map(|(row, repository)| {
        let reason = filter.exclude(&repository)?;
        Some(Exclusion { row: row as u32, reason })
    });
    excluded.collect()
}

#[doc(hidden)]
pub fn exclude_this_call<F: RepoFilter>(filter: &F) -> Vec<Exclusion> {
    exclude_all(filter, &Repositories::of_this_call())
}

/// Makes a type that is a [`RepoFilter`] the policy of this crate.
///
/// Does nothing unless the crate is built for WebAssembly, so its unit tests run natively.
#[macro_export]
macro_rules! export_repo_filter {
    ($filter:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private::repo_filter_world::exports::issuecommand::policy::repo_filter;

            ::std::thread_local!(static POLICY: $crate::__private::Slot<$filter> = const { $crate::__private::Slot::empty() });

            struct Exported;

            impl repo_filter::Guest for Exported {
                fn settings_schema() -> ::std::string::String {
                    <$filter as $crate::RepoFilter>::settings_schema()
                }

                fn configure(settings: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                    POLICY.with(|policy| policy.fill(&settings, <$filter as $crate::RepoFilter>::new))
                }

                fn exclude() -> ::core::result::Result<::std::vec::Vec<repo_filter::Exclusion>, ::std::string::String> {
                    POLICY.with(|policy| policy.ask(|it| $crate::__private::exclude_this_call(it)))
                }
            }

            $crate::__private::export_repo_filter_world!(Exported with_types_in $crate::__private::repo_filter_world);
        };
    };
}
