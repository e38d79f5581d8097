//! What a test's thread tells the `metrics` facade.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, Recorder,
    SharedString, Unit,
};

/// A recorder that remembers. It hears its own thread alone, so a test needs a runtime of one thread.
#[derive(Default)]
pub struct Meter {
    series: Mutex<BTreeMap<(String, String), Arc<Series>>>,
    described: Mutex<Vec<(String, Option<Unit>, String)>>,
}

/// All that was told of one metric: each sample of a histogram, else the one value.
#[derive(Default)]
struct Series(Mutex<Vec<f64>>);

impl Meter {
    /// The value of a counter or gauge, or 0; `reason` is empty where there is none.
    pub fn value(&self, name: &str, reason: &str) -> f64 {
        self.samples(name, reason).last().copied().unwrap_or_default()
    }

    /// All samples of a histogram.
    pub fn samples(&self, name: &str, reason: &str) -> Vec<f64> {
        let series = self.series.lock().unwrap();
        let found = series.get(&(name.to_owned(), reason.to_owned()));
        found.map(|series| series.0.lock().unwrap().clone()).unwrap_or_default()
    }

    /// Name, unit and help of each metric that was described.
    pub fn described(&self) -> Vec<(String, Option<Unit>, String)> {
        self.described.lock().unwrap().clone()
    }

    fn series(&self, key: &Key) -> Arc<Series> {
        let reason = key.labels().find(|label| label.key() == "reason").map(Label::value);
        let key = (key.name().to_owned(), reason.unwrap_or_default().to_owned());
        self.series.lock().unwrap().entry(key).or_default().clone()
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, help: &str) {
        self.described.lock().unwrap().push((name.as_str().to_owned(), unit, help.to_owned()));
    }
}

impl Series {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut values = self.0.lock().unwrap();
        let value = change(values.pop().unwrap_or_default());
        values.push(value);
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.change(|before| before + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|_| value as f64);
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.change(|before| before + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|before| before - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Recorder for Meter {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&key, unit, &help);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&key, unit, &help);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&key, unit, &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}
