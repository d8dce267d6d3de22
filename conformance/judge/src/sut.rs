//! The system under test: a program that is started anew for every case, or a server that already runs at an address.

mod between;
mod body;
mod family;
mod instance;
mod launch;
mod launcher;
mod log;
mod pair;
mod proc;
mod process;
mod programs;
mod ready;
mod remains;
mod setup;
mod spawn;
mod subject;

pub use between::{Between, Kind, Talk};
pub(crate) use family::Family;
pub(crate) use instance::Instance;
pub(crate) use launch::{Announced, ClientPlan, start_client, start_server};
pub(crate) use pair::{Pair, PairError, PairPlan};
pub(crate) use programs::Programs;
pub(crate) use ready::{login, unique_name};
pub(crate) use remains::note_survivors;
pub use remains::remains;
pub use setup::{StartError, folder_prefix};
pub(crate) use spawn::explained;
pub use subject::{Part, Running, Subject};
