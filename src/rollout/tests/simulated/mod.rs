//! A simulated cluster: random stacks and edits on it, while everything goes wrong that goes wrong in life; and the laws that hold all the same.
//!
//! `draft` draws stacks and edits, `history` what else happens; `server` is the API server, `nodes` Kubernetes' own controllers, `operator` ours, with its
//! real store and its real plan, and `requests` what becomes of what it asks for; `observer` and `rest` are the laws; `run` draws, counts and replays.
//! Everything is pure: a history follows from its number.
//!
//! The laws:
//! - no workload starts, or starts anew, before what it depends on holds, nor while something behind that is on the move (`observer`, two of them);
//! - it comes to rest when nothing more goes wrong, within so many passes; at rest no request is made, by this operator or the next (`rest`);
//! - it is then as a fresh apply of the last spec makes it, and as that wants it (`rest`);
//! - data stays; what pods read stays; names, walls and workloads that the stack no longer wants stay while something of it is on the move (`observer`);
//! - runs of a Job, and fills of a volume, never overlap; two generations never write to what has room for one, or hold ports of the node (`nodes`);
//! - an autoscaled service never has fewer pods by our hand than its autoscaler gave it (`observer`);
//! - a stack that is deleted goes in order, and to the end (`rest`).
//!
//! What is as in life, neither kinder nor harsher: each kind's watch tells its own news in order, and lags behind on its own; a watch that begins anew lists what
//! there is now; answers of our own writes are in the store at once, unless they were lost; deletes and writes carry their guards; a pod that is told to go
//! lives on for a while.
//!
//! What is kinder: before the next edit arrives, watches have told what became of a write whose answer was lost; pods are told to go at once when their
//! workload goes; writes of one wave go one after the other; and a stack that goes has seen the last edit.

mod draft;
mod history;
mod nodes;
mod observer;
mod operator;
mod requests;
mod rest;
mod run;
mod server;
mod story;
