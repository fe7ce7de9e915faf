//! Networks as containers and the machines around see them, each test on a host of its own.

mod bridges;
mod lookups;
mod ports;
mod remains;
mod world;
