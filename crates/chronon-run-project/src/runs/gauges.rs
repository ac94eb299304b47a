//! The figures of a Prometheus text file.

use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

/// Gauges whose names begin with `chronon_run_`.
#[derive(Default)]
pub(super) struct Gauges(Registry);

impl Gauges {
    pub(super) fn add(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        let gauge = GaugeVec::new(Opts::new(format!("chronon_run_{name}"), help), labels)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    pub(super) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.0.gather())
    }
}
