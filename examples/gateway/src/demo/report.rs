//! How the demo is told: a line for each scene, or all of it.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstream::stdout;
use anstyle::{AnsiColor, Style};
use anyhow::{Result, ensure};

/// How many scenes there are.
const SCENES: usize = 25;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// A step of the demo.
pub struct Scene {
    /// One word for it.
    pub name: &'static str,
    /// What its answer proves: what the short form says.
    pub proves: &'static str,
    /// What happens in it: what the full form says.
    pub title: &'static str,
}

/// What was played so far, printed as it happens. Colours are left out where they are not wanted: [`anstream`] knows.
pub struct Report {
    full: bool,
    begun: Instant,
    took: Duration,
    /// The scene that is played, and since when.
    scene: Option<(Scene, Instant)>,
    proved: usize,
}

impl Report {
    /// Says all when it is `full`, and otherwise a line for each scene.
    pub fn new(full: bool) -> Self {
        Self { full, begun: Instant::now(), took: Duration::ZERO, scene: None, proved: 0 }
    }

    /// Begins a scene. The scene before it is proved.
    pub fn begin(&mut self, scene: Scene) -> Result<()> {
        match &self.scene {
            Some(_) => self.prove()?,
            None => self.begun = Instant::now(),
        }
        self.detail(&format!("\n{:2}. {}\n", self.proved + 1, scene.title))?;
        self.scene = Some((scene, Instant::now()));
        Ok(())
    }

    /// Prints what only the full form says.
    pub fn detail(&self, text: &str) -> Result<()> {
        if self.full {
            writeln!(stdout(), "{text}")?;
        }
        Ok(())
    }

    /// Ends the last scene, which was played to the end or failed.
    pub fn close(&mut self, played: Result<()>) -> Result<()> {
        self.took = self.begun.elapsed();
        match played {
            Ok(()) => {
                self.prove()?;
                ensure!(self.proved == SCENES, "{} of {SCENES} scenes were played", self.proved);
                self.detail(&format!("\nall {SCENES} scenes were as they should be"))
            }
            Err(error) if self.scene.is_none() => Err(error),
            Err(error) if self.full => Err(error.context(format!("scene {}", self.proved + 1))),
            Err(error) => self.refute(&format!("{error:#}")),
        }
    }

    /// Prints the last line of the short form; `left` says what the demo leaves behind.
    pub fn end(&self, left: &str) -> Result<ExitCode> {
        let all = self.proved == SCENES;
        if !self.full {
            let style = if all { GOOD } else { BAD };
            let proved = format!("{style}{} of {SCENES} proved{style:#}", self.proved);
            writeln!(stdout(), "\n{proved} in {:.2} s. {left}", self.took.as_secs_f64())?;
        }
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn prove(&mut self) -> Result<()> {
        self.proved += 1;
        self.line(format_args!("{GOOD}✓{GOOD:#}"))
    }

    fn refute(&self, reason: &str) -> Result<()> {
        self.line(format_args!("{BAD}✗{BAD:#}"))?;
        Ok(writeln!(stdout(), "  {BAD}{reason}{BAD:#}")?)
    }

    fn line(&self, mark: impl Display) -> Result<()> {
        if self.full {
            return Ok(());
        }
        let Some((Scene { name, proves, .. }, since)) = &self.scene else { return Ok(()) };
        let took = spoken(since.elapsed());
        Ok(writeln!(stdout(), "{mark} {STRONG}{name:9}{STRONG:#} {proves:54} {FAINT}{took:>8}{FAINT:#}")?)
    }
}

fn spoken(time: Duration) -> String {
    match time.as_millis() {
        0 => "<1 ms".to_owned(),
        milliseconds => format!("{milliseconds} ms"),
    }
}
