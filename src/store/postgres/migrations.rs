//! The migrations that this version knows.

use refinery::{Migration, Runner};

mod embedded {
    #![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
    refinery::embed_migrations!("migrations/postgres");
}

/// The migrations of this version, in their order.
pub(super) fn known() -> Vec<Migration> {
    let mut known = runner().get_migrations().clone();
    known.sort();
    known
}

/// The runner that applies the migrations and records which were applied.
pub(super) fn runner() -> Runner {
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("bridge_auth.migrations");
    runner
}
