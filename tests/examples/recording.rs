//! `docs/demo.svg`: what `gateway --demo` prints, as a picture.
//!
//! After a change of the demo, write it anew: `RECORD_DEMO=1 cargo test --all-features --test it recording`.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::RgbColor;
use anstyle_svg::{Palette, Term, VGA};

use super::demo::demo;
use crate::support::terminal::run_at_terminal;

const COMMAND: &str = "\x1b[2m$\x1b[0m cargo run -q -p example-gateway -- --demo\n\n";
const TITLE: &str =
    "The demo: each scene of a bridge's life has a line with a tick, what it proved and how long it took";

/// The first screen of the README waits for it.
const MOST_BYTES: usize = 20 * 1024;
const BACKGROUND: RgbColor = RgbColor(22, 27, 34);
const FOREGROUND: RgbColor = RgbColor(230, 237, 243);
const GREEN: RgbColor = RgbColor(63, 185, 80);

/// The last line has as much room below it as the first has above it.
const BELOW: usize = 6;
/// From the command to the first line, and from each line to the next.
const MILLISECONDS: (usize, usize) = (600, 220);

#[tokio::test]
async fn the_picture_shows_what_the_demo_prints() {
    let home = tempfile::tempdir().unwrap();
    let (status, shown) = run_at_terminal(&mut demo(home.path())).await;
    assert!(status.success(), "{shown}");
    let drawn = picture(&format!("{COMMAND}{}", shown.trim_end()));

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo.svg");
    if std::env::var_os("RECORD_DEMO").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        without_times(&kept),
        without_times(&drawn),
        "docs/demo.svg is out of date: run this test with RECORD_DEMO=1"
    );
    assert!(kept.len() < MOST_BYTES, "{} bytes", kept.len());
    // Its own name space is the only address in it, so it loads nothing.
    assert_eq!(kept.matches("http").count(), 1);
    assert!(!["<script", "@import", "url(", "@font-face"].iter().any(|loads| kept.contains(loads)));
}

fn picture(shown: &str) -> String {
    let mut palette = VGA.0;
    palette[2] = GREEN;
    let svg = Term::new()
        .palette(Palette(palette))
        .bg_color(BACKGROUND.into())
        .fg_color(FOREGROUND.into())
        .min_width_px(640)
        .render_svg(shown);
    let (size, content) = svg.split_once(">\n").unwrap();
    let [width, height] = ["width", "height"].map(|side| {
        let (_, rest) = size.split_once(&format!("{side}=\"")).unwrap();
        rest.split_once("px").unwrap().0.parse::<usize>().unwrap()
    });
    let height = height + BELOW;
    let style = style(shown.lines().count());
    // With a view box it scales on a narrow page; a screen reader says its title.
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n  <title>{TITLE}</title>\n{}",
        content.replacen("  </style>", &format!("{style}  </style>"), 1)
    )
}

/// Lets line after line appear, for readers who do not ask for less motion. All lines are there without it, and after it.
fn style(lines: usize) -> String {
    let mut style = String::from("    .dimmed { fill-opacity: 0.6; opacity: 1 }\n");
    style.push_str("    @keyframes appear { from { visibility: hidden } }\n");
    style.push_str("    @media (prefers-reduced-motion: no-preference) {\n");
    style.push_str("      .container > tspan { animation: appear 1ms step-end backwards }\n");
    let (first, next) = MILLISECONDS;
    for line in 2..=lines {
        let delay = first + (line - 2) * next;
        writeln!(style, "      .container > tspan:nth-child({line}) {{ animation-delay: {delay}ms }}")
            .unwrap();
    }
    style.push_str("    }\n");
    style
}

/// The text without what differs from run to run: each number before a unit of time.
fn without_times(picture: &str) -> String {
    let apart = picture.replace(['<', '>'], " ").replace("&lt;", " ");
    let words: Vec<_> = apart.split_whitespace().collect();
    let is_unit = |word: &&str| ["ms", "s."].contains(word);
    let kept = words.iter().enumerate().filter(|(at, _)| !words.get(at + 1).is_some_and(is_unit));
    kept.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}
