//! One failover after the other, under working gateways.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::seq::{IteratorRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::faults::Kind;
use crate::folder::Folder;
use crate::gateway::{Gateway, Start};
use crate::install::say;
use crate::journal::Journal;
use crate::load::{Scene, Target};
use crate::options::{Mode, Options};
use crate::outage::Recovery;
use crate::report::{Outcome, Report};

/// How long the gateways work undisturbed between two failovers.
const CALM: std::ops::Range<u64> = 1000..1600;
/// How much longer two primaries run side by side than any gateway may let a revoked session in.
const BESIDE: Duration = Duration::from_millis(2000);
/// How long the gateways may take to work again on a healthy cluster.
const RECOVERS: Duration = Duration::from_secs(60);
/// How many older sessions are checked after each failover. All sessions since the last failover are checked too.
const OLDER: usize = 150;

pub struct Drill {
    options: Options,
    cluster: Cluster,
    scene: Arc<Scene>,
    gateways: Vec<Gateway>,
    folder: Arc<Folder>,
    database: String,
    order: StdRng,
    journal: Arc<Journal>,
    /// The index of the first session that was not checked yet.
    checked: usize,
}

impl Drill {
    /// Starts the cluster and the gateways.
    pub async fn start(folder: Arc<Folder>, options: Options) -> Result<Self> {
        let seed = options.seed.unwrap_or_else(|| rand::rng().random());
        say(&format!(
            "drill: all files are in {}; repeat this order with --seed {seed}",
            folder.path().display()
        ));
        let begun = Instant::now();
        let cluster = Cluster::start(&folder, &options).await?;
        let scene = Arc::new(Scene::new()?);
        let database = cluster.url();
        let mut gateways = Vec::new();
        for (place, mode) in options.gateways.iter().enumerate() {
            let start =
                Start { folder: folder.path(), database: &database, options: &options, scene: &scene };
            gateways.push(Gateway::start(&start, &format!("gateway-{}", place + 1), mode).await?);
        }
        say(&format!(
            "drill: the cluster and {} gateways are running after {:.1?}",
            gateways.len(),
            begun.elapsed()
        ));
        let order = StdRng::seed_from_u64(seed);
        let journal = Arc::new(Journal::open(options.logs.as_deref())?);
        Ok(Self { options, cluster, scene, gateways, folder, database, order, journal, checked: 0 })
    }

    /// The addresses of the nodes, the gateways, HAProxy and etcd.
    pub fn places(&self) -> String {
        let nodes = self.cluster.nodes.iter().map(|node| {
            let settings = node.settings();
            format!("{}: 127.0.0.1:{}, patronictl -c {}\n", node.name, node.port, settings.display())
        });
        let gateways =
            self.gateways.iter().map(|gateway| format!("{}: {}\n", gateway.name, gateway.target.url));
        let proxy =
            format!("through HAProxy: {}\netcd: 127.0.0.1:{}\n", self.database, self.cluster.etcd_port);
        nodes.chain(gateways).chain([proxy]).collect()
    }

    /// Makes all failovers, in random order, and adds the outcomes to the report.
    pub async fn run(&mut self, report: &mut Report) -> Result<()> {
        let kinds = self.options.kinds();
        let count = self.options.count.unwrap_or(20 * kinds.len());
        let mut order: Vec<_> = kinds.iter().copied().cycle().take(count).collect();
        order.shuffle(&mut self.order);
        report.header(count);
        for kind in order {
            let outcome = self.failover(kind).await?;
            report.add(outcome);
        }
        self.check_all(report).await;
        Ok(())
    }

    async fn failover(&mut self, kind: Kind) -> Result<Outcome> {
        let begun = Instant::now();
        let primary = self.cluster.wait_until_healthy().await?;
        self.set_calm(true);
        sleep(Duration::from_millis(self.order.random_range(CALM))).await;
        self.set_calm(false);
        let journal = self.journal.clone();
        let watch = journal.watch(kind);
        kind.inject(&mut self.cluster, primary).await?;
        watch.note("injected");
        self.cluster.new_leader(primary).await?;
        watch.note("new leader");
        // The newcomer never saw the old primary. So its revocations are acknowledged while both primaries run.
        let newcomer = self.newcomer();
        let newcomer = if kind.leaves_two_primaries() {
            let newcomer = newcomer.await??;
            watch.note("newcomer");
            self.wait_for_a_write(&newcomer).await?;
            watch.note("newcomer wrote");
            let allowed = self.options.gateways.iter().map(|mode| self.options.allowance(mode));
            sleep(allowed.max().unwrap_or_default() + BESIDE).await;
            kind.repair(&mut self.cluster, primary).await?;
            newcomer
        } else {
            kind.repair(&mut self.cluster, primary).await?;
            newcomer.await??
        };
        watch.note("repaired");
        self.cluster.wait_until_healthy().await?;
        // The old primary is a standby now, so there is only one primary again.
        self.set_calm(true);
        watch.note("healthy");
        self.wait_until_gateways_work().await?;
        watch.note("gateways work");
        let (write, guard) = self.recoveries();
        let sessions = self.unchecked();
        self.scene.check(&sessions, &self.targets()).await;
        watch.note(&format!("{} sessions checked", sessions.len()));
        drop(newcomer);
        for gateway in &mut self.gateways {
            gateway.runs()?;
        }
        let mut pages = self.scene.ledger.pages();
        let counts = std::mem::take(&mut pages.counts);
        let told = std::mem::take(&mut pages.told);
        self.journal.write(&told);
        Ok(Outcome { kind, write, guard, counts, told, took: begun.elapsed() })
    }

    /// Starts another gateway, which connects as soon as there is a primary.
    fn newcomer(&self) -> JoinHandle<Result<Gateway>> {
        let (folder, scene) = (self.folder.clone(), self.scene.clone());
        let (database, options) = (self.database.clone(), self.options.clone());
        tokio::spawn(async move {
            let start =
                Start { folder: folder.path(), database: &database, options: &options, scene: &scene };
            Gateway::start(&start, "newcomer", &Mode::Strict).await
        })
    }

    /// Waits until a write of a gateway is acknowledged.
    async fn wait_for_a_write(&self, gateway: &Gateway) -> Result<()> {
        let begun = Instant::now();
        while !self.scene.ledger.pages().outages(gateway.target.place).0.has_a_good_one() {
            if begun.elapsed() > RECOVERS {
                bail!("{}: no write was acknowledged within {RECOVERS:?} of the new leader", gateway.name);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn set_calm(&self, calm: bool) {
        let ledger = &self.scene.ledger;
        let mut pages = ledger.pages();
        if calm { pages.calm(ledger.now()) } else { pages.fault(ledger.now()) }
    }

    /// Waits until every gateway answers writes and guarded requests as it should.
    async fn wait_until_gateways_work(&self) -> Result<()> {
        let begun = Instant::now();
        let healthy = self.scene.ledger.now();
        loop {
            let over = {
                let pages = self.scene.ledger.pages();
                self.gateways.iter().all(|gateway| {
                    let (writes, guard) = pages.outages(gateway.target.place);
                    writes.is_over(healthy) && guard.is_over(healthy)
                })
            };
            if over {
                return Ok(());
            }
            if begun.elapsed() > RECOVERS {
                bail!("a gateway still fails {RECOVERS:?} after the cluster was healthy again");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The longest recovery of any gateway: of writes, and of guarded requests.
    fn recoveries(&self) -> (Recovery, Recovery) {
        let pages = self.scene.ledger.pages();
        let (mut write, mut guard) = (Recovery::default(), Recovery::default());
        for gateway in &self.gateways {
            let (writes, guarded) = pages.outages(gateway.target.place);
            write = write.longer(writes.recovery().unwrap_or_default());
            guard = guard.longer(guarded.recovery().unwrap_or_default());
        }
        (write, guard)
    }

    /// The sessions since the last check, and some older ones.
    fn unchecked(&mut self) -> Vec<usize> {
        let count = self.scene.ledger.pages().sessions.len();
        let older = (0..self.checked).sample(&mut self.order, OLDER);
        let sessions = (self.checked..count).chain(older).collect();
        self.checked = count;
        sessions
    }

    /// Checks every session of the drill.
    async fn check_all(&self, report: &mut Report) {
        let count = self.scene.ledger.pages().sessions.len();
        say(&format!("drill: checking all {count} sessions on every gateway"));
        self.scene.check(&(0..count).collect::<Vec<_>>(), &self.targets()).await;
        let mut pages = self.scene.ledger.pages();
        let told = std::mem::take(&mut pages.told);
        self.journal.write(&told);
        report.end(std::mem::take(&mut pages.counts), &told, count);
    }

    fn targets(&self) -> Vec<Target> {
        self.gateways.iter().map(|gateway| gateway.target.clone()).collect()
    }
}
