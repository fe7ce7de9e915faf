//! When the next check runs, and what its result means.
//!
//! In: results of checks. Out: a verdict and a pause. Until a check first succeeds, it is tried at
//! once and then again and again, after pauses that grow with the time that has passed: whoever
//! waits for a container waits little longer than it takes. These tries do not count; those count
//! that Docker would have made.

use std::time::Duration;

use super::Check;
use crate::runtime::native::state::{FailedCheck, HealthReport, Verdict};

/// The shortest pause between tries.
const SHORTEST: Duration = Duration::from_millis(50);

/// A try comes after a pause of this part of the time that has passed.
const PART: u32 = 8;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime::native) struct Finding {
    /// Whether it succeeded.
    pub(in crate::runtime::native) is_well: bool,
    /// What it printed.
    pub(in crate::runtime::native) output: String,
}

/// The course of the checks of a container that runs. Times are since its start.
#[derive(Clone, Debug)]
pub(in crate::runtime::native) struct Schedule {
    check: Check,
    report: HealthReport,
    /// When the next check comes that counts.
    due: Duration,
}

impl Schedule {
    /// A container has started.
    pub(in crate::runtime::native) fn new(check: &Check) -> Self {
        let mut new =
            Self { check: check.clone(), report: HealthReport::default(), due: Duration::ZERO };
        new.due = new.interval(Duration::ZERO);
        new
    }

    /// What is known.
    pub(in crate::runtime::native) fn report(&self) -> &HealthReport {
        &self.report
    }

    /// A check that began at one time has ended at another with this finding.
    pub(in crate::runtime::native) fn found(
        &mut self,
        finding: Finding,
        (began, ended): (Duration, Duration),
    ) {
        self.report.output = finding.output;
        if finding.is_well {
            self.report.failures = 0;
            self.report.verdict = Verdict::Healthy;
            self.due = ended + self.check.interval;
            return;
        }
        let counts = began >= self.due;
        if !counts {
            return;
        }
        self.due = ended + self.interval(ended);
        self.remember(ended);
        let is_early = self.report.verdict == Verdict::Starting && began < self.check.start_period;
        if !is_early {
            self.report.failures += 1;
            if self.report.failures >= self.check.retries {
                self.report.verdict = Verdict::Unhealthy;
            }
        }
    }

    /// Keeps a check that has failed, and few before it.
    fn remember(&mut self, ended: Duration) {
        const KEPT: usize = 5;
        const LONGEST: usize = 300;
        let output = self.report.output.chars().take(LONGEST).collect();
        let ended = u64::try_from(ended.as_millis()).unwrap_or(u64::MAX);
        let history = &mut self.report.history;
        if history.len() == KEPT {
            history.remove(0);
        }
        history.push(FailedCheck { ended, output });
    }

    /// How long to wait before the next check.
    pub(in crate::runtime::native) fn pause(&self, now: Duration) -> Duration {
        let left = self.due.saturating_sub(now);
        if self.report.verdict == Verdict::Starting {
            (now / PART).max(SHORTEST).min(left)
        } else {
            left
        }
    }

    /// The pause between checks that count.
    fn interval(&self, now: Duration) -> Duration {
        if self.report.verdict == Verdict::Starting && now < self.check.start_period {
            self.check.start_interval.min(self.check.interval)
        } else {
            self.check.interval
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Check, Finding, Schedule};
    use crate::runtime::native::state::Verdict;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn schedule(start_period: Duration) -> Schedule {
        Schedule::new(&Check {
            interval: INTERVAL,
            retries: 2,
            start_period,
            start_interval: Duration::from_secs(5),
            ..Check::default()
        })
    }

    /// Runs checks that take no time until the verdict changes; gives when, and how many it were.
    fn runs(schedule: &mut Schedule, is_well: impl Fn(Duration) -> bool) -> (Duration, usize) {
        let before = schedule.report().verdict;
        let mut now = Duration::ZERO;
        for count in 1..10_000 {
            let finding = Finding { is_well: is_well(now), output: String::new() };
            schedule.found(finding, (now, now));
            if schedule.report().verdict != before {
                return (now, count);
            }
            now += schedule.pause(now);
        }
        (now, usize::MAX)
    }

    #[test]
    fn success_is_found_soon_at_any_time_without_many_checks() {
        for ready in [0, 1, 3, 10, 29, 200].map(Duration::from_secs) {
            let mut schedule = schedule(Duration::from_mins(10));
            let (found, count) = runs(&mut schedule, |now| now >= ready);
            assert_eq!(schedule.report().verdict, Verdict::Healthy);
            assert!(found <= ready + ready / 7 + Duration::from_millis(50), "{ready:?} {found:?}");
            assert!(count < 100, "{count}");
        }
    }

    #[test]
    fn failures_count_as_often_as_docker_counts_them() {
        let mut plain = schedule(Duration::ZERO);
        assert_eq!(runs(&mut plain, |_| false).0, INTERVAL * 2);
        assert_eq!(plain.report().verdict, Verdict::Unhealthy);
        let mut patient = schedule(Duration::from_secs(12));
        // Checks that count come after 5, 10 and 15 seconds, then every 30; two are late enough.
        assert_eq!(runs(&mut patient, |_| false).0, Duration::from_secs(45));
    }

    #[test]
    fn what_is_settled_is_checked_as_often_as_asked_for() {
        let mut schedule = schedule(Duration::ZERO);
        let well = Finding { is_well: true, output: String::new() };
        let now = Duration::from_secs(1);
        schedule.found(well, (now, now));
        assert_eq!(schedule.pause(now), INTERVAL);
    }
}
