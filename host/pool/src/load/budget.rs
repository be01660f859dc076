//! How much of the traffic may be sent a second time: [`Budget`].

use std::time::Duration;

use tower::retry::budget::{Budget as _, TpsBudget};

/// What [`TpsBudget`] takes for its window.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How many extra attempts (retries and hedges) a pool makes, so that an outage is not multiplied by those who wait
/// for its end.
///
/// The default is Finagle's: a fifth of the requests of the last ten seconds, and ten a second besides, for pools that
/// send little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Extra attempts for each hundred requests, at most 1,000.
    pub percent: u16,
    /// Extra attempts a second that are always allowed.
    pub per_second: u32,
    /// How long a request counts; taken as between a second and a minute.
    pub window: Duration,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            percent: 20,
            per_second: 10,
            window: Duration::from_secs(10),
        }
    }
}

/// The budget of one pool.
#[derive(Debug)]
pub(crate) struct Budget(TpsBudget);

impl Budget {
    pub fn new(config: &BudgetConfig) -> Self {
        let percent = f32::from(config.percent.min(1_000));
        Self(TpsBudget::new(
            config.window.clamp(WINDOWS.0, WINDOWS.1),
            config.per_second.min(i32::MAX as u32 - 1),
            percent / 100.0,
        ))
    }

    /// A caller has sent a request.
    pub fn deposit(&self) {
        self.0.deposit();
    }

    /// Whether another attempt may be made; if so, it is paid for.
    pub fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_traffic_may_be_sent_again_besides_ten_a_second() {
        let budget = Budget::new(&BudgetConfig::default());
        for _ in 0..1_000 {
            budget.deposit();
        }
        let granted = (0..10_000).filter(|_| budget.withdraw()).count();
        assert_eq!(granted, 200 + 10 * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_the_window_pays_for_nothing() {
        let config = BudgetConfig {
            per_second: 0,
            ..BudgetConfig::default()
        };
        let budget = Budget::new(&config);
        for _ in 0..100 {
            budget.deposit();
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        // The slice that was being filled is kept until somebody looks.
        budget.deposit();
        tokio::time::advance(Duration::from_secs(30)).await;
        budget.deposit();
        assert!(!budget.withdraw());
    }

    #[test]
    fn no_setting_is_refused() {
        for percent in [0, 1, 100, u16::MAX] {
            for (per_second, seconds) in [(0, 0), (u32::MAX, u64::MAX)] {
                let window = Duration::from_secs(seconds);
                let budget = Budget::new(&BudgetConfig {
                    percent,
                    per_second,
                    window,
                });
                budget.deposit();
                budget.withdraw();
            }
        }
    }
}
