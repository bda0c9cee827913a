//! vppd
pub mod apple;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod entropy;
pub mod fault;
pub mod licensing;
pub mod mdm;
pub mod model;
pub mod operations;
pub mod schedule;
pub mod secret;
pub mod store;
pub mod web;
