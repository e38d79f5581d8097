//! The figures of the guards in one process.

use crate::support::drive::{Measured, median};
use crate::support::gateway::Guard;

/// All rounds of one gateway under one load.
pub struct Rounds {
    pub guard: Guard,
    pub pool: usize,
    pub measured: Vec<Measured>,
    pub queries: usize,
    /// Seconds of processor time: of this process, and of the database.
    pub own: f64,
    pub database: f64,
}

/// All gateways under one load.
pub struct Setting {
    pub database: String,
    pub sessions: u64,
    pub concurrent: usize,
    pub all: Vec<Rounds>,
}

impl Setting {
    /// The rounds with the pool that serves the guard best.
    pub fn best(&self, guard: Guard) -> Option<&Rounds> {
        let all = self.all.iter().filter(|rounds| rounds.guard == guard);
        all.max_by(|a, b| a.rate().total_cmp(&b.rate()))
    }
}

impl Rounds {
    pub fn rate(&self) -> f64 {
        median(&self.measured, Measured::rate)
    }

    pub fn p50(&self) -> f64 {
        median(&self.measured, |measured| measured.p50)
    }

    pub fn p99(&self) -> f64 {
        median(&self.measured, |measured| measured.p99)
    }

    /// Seconds of processor time for each request.
    pub fn cost(&self) -> f64 {
        self.each(self.own + self.database)
    }

    /// Divides a total by the number of requests.
    pub fn each(&self, total: f64) -> f64 {
        total / self.measured.iter().map(|measured| measured.requests as f64).sum::<f64>()
    }

    /// The median of the ratios within each round.
    pub fn ratio_to(&self, other: &Self) -> f64 {
        let pairs: Vec<_> = self.measured.iter().zip(&other.measured).collect();
        median(&pairs, |(own, other)| own.rate() / other.rate())
    }
}
