//! Draws the figures of `in-process`: requests a second, by requests at once.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::measured::{Rounds, Setting};
use crate::support::gateway::Guard;

type Result = std::result::Result<(), Box<dyn Error>>;

/// Draws the rate on the left and p99 on the right, for the largest number of sessions.
pub fn draw(file: &Path, settings: &[Setting], store: &str) -> Result {
    let sessions = settings.iter().map(|setting| setting.sessions).max().ok_or("nothing was measured")?;
    let settings: Vec<_> = settings.iter().filter(|setting| setting.sessions == sessions).collect();
    let root = SVGBackend::new(file, (1200, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let title =
        format!("{sessions} sessions of a million, {store} on the same two cores (both axes logarithmic)");
    let root = root.titled(&title, ("sans-serif", 22))?;
    let (left, right) = root.split_horizontally(600);
    panel(&left, &settings, "requests a second: more is better", Rounds::rate)?;
    panel(&right, &settings, "p99 in microseconds: less is better", |rounds| rounds.p99() * 1e6)?;
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    settings: &[&Setting],
    caption: &str,
    figure: impl Fn(&Rounds) -> f64,
) -> Result {
    let guards = [
        (Guard::Bare, RGBColor(120, 120, 120)),
        (Guard::Watched, RGBColor(0, 120, 80)),
        (Guard::Strict, RGBColor(0, 80, 180)),
        (Guard::Comparator, RGBColor(200, 60, 30)),
    ];
    let figures = |guard| {
        let point = |setting: &&Setting| Some((setting.concurrent as f64, figure(setting.best(guard)?)));
        settings.iter().filter_map(point).collect::<Vec<_>>()
    };
    let all: Vec<f64> = guards.iter().flat_map(|(guard, _)| figures(*guard)).map(|(_, y)| y).collect();
    let lowest = all.iter().copied().fold(f64::MAX, f64::min);
    let highest = all.iter().copied().fold(0.0, f64::max);
    let most = settings.iter().map(|setting| setting.concurrent).max().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(78)
        .build_cartesian_2d((0.9..most * 1.2).log_scale(), (lowest / 2.0..highest * 4.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("requests at once")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(WHITE)
        .label_style(("sans-serif", 14))
        .draw()?;
    for (guard, color) in guards {
        let name =
            if guard == Guard::Comparator { "comparator, best pool".to_owned() } else { guard.to_string() };
        let points = figures(guard);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(3)).point_size(4))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(3)));
    }
    let legend = chart.configure_series_labels();
    { legend }
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}
