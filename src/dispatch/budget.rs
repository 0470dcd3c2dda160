//! What runs may spend, and who is told when it is nearly gone.

use tracing::warn;

use super::dispatcher::Dispatcher;
use crate::config::{BudgetConfig, Config};
use crate::domain::{Run, RunUsage};
use crate::store::StoreError;

/// From this share on a budget is said to be nearly spent.
const WARNING_SHARE: f64 = 0.8;

/// How much of a budget is spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spent {
    /// There is enough.
    Little,
    /// Four fifths are gone.
    NearlyAll(f64),
    /// All is gone.
    All,
}

fn share(used: RunUsage, tokens_max: u64, usd_max: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a share of a budget, for comparison")]
    let of_tokens = if tokens_max == 0 { 0.0 } else { used.tokens() as f64 / tokens_max as f64 };
    let of_usd = if usd_max <= 0.0 { 0.0 } else { used.cost_usd / usd_max };
    of_tokens.max(of_usd)
}

/// Compares what was used with what may be; 0 is without bound.
pub(super) fn spent(used: RunUsage, tokens_max: u64, usd_max: f64) -> Spent {
    match share(used, tokens_max, usd_max) {
        share if share >= 1.0 => Spent::All,
        share if share >= WARNING_SHARE => Spent::NearlyAll(share),
        _ => Spent::Little,
    }
}

/// The share that is spent, in whole percent, as rankers see it.
pub(super) fn percent(used: RunUsage, tokens_max: u64, usd_max: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded before")]
    let whole = (share(used, tokens_max, usd_max) * 100.0).clamp(0.0, 1000.0) as u32;
    whole
}

/// What one run may spend.
pub(super) fn of_run(used: RunUsage, budget: &BudgetConfig) -> Spent {
    spent(used, budget.run_tokens_max, budget.run_usd_max)
}

impl Dispatcher {
    /// Tells rankers how much of the day's budget is spent.
    pub(super) async fn tell_rankers(&self) -> Result<(), StoreError> {
        let budget = self.config().dispatch.budget.clone();
        let used = self.store().run_usage_on(self.now(), None).await?;
        self.manager().set_budget_spent(percent(used, budget.day_tokens_max, budget.day_usd_max));
        Ok(())
    }

    /// Why a run must not begin today, if so.
    pub(super) async fn over_budget(&self, run: &Run, config: &Config) -> Result<Option<String>, StoreError> {
        let budget = &config.dispatch.budget;
        let day = self.store().run_usage_on(self.now(), None).await?;
        let repo = self.store().run_usage_on(self.now(), Some(run.repo.clone())).await?;
        let bounds = [
            ("today's budget", "", spent(day, budget.day_tokens_max, budget.day_usd_max), "day"),
            ("today's budget of ", run.repo.as_str(), spent(repo, budget.repo_tokens_max, budget.repo_usd_max), "repo"),
        ];
        for (what, of, state, keys) in bounds {
            match state {
                Spent::Little => {}
                Spent::NearlyAll(share) => warn!("{what}{of} is spent to {:.0} %", share * 100.0),
                Spent::All => {
                    return Ok(Some(format!(
                        "{what}{of} is spent (dispatch.budget.{keys}_*); it begins anew at midnight UTC"
                    )));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_warns_before_it_stops_and_nothing_bounds_without_one() {
        let used = |tokens, cost_usd| RunUsage { input_tokens: tokens, output_tokens: 0, cost_usd };
        assert_eq!(spent(used(u64::MAX, 1e9), 0, 0.0), Spent::Little);
        assert_eq!(spent(used(79, 0.0), 100, 0.0), Spent::Little);
        assert_eq!(spent(used(80, 0.0), 100, 0.0), Spent::NearlyAll(0.8));
        assert_eq!(spent(used(100, 0.0), 100, 0.0), Spent::All);
        assert_eq!(spent(used(1, 2.0), 100, 2.0), Spent::All, "either bound holds");
        let told = [percent(used(0, 0.5), 0, 2.0), percent(used(7, 0.0), 0, 0.0), percent(used(u64::MAX, 0.0), 1, 0.0)];
        assert_eq!(told, [25, 0, 1000]);
    }
}
