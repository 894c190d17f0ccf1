//! How weights change: gradients, optimizers, schedules, budgets, the record of a run.
//!
//! Nothing here prints or reads a clock: wall times and host names are arguments.

pub mod budget;
pub mod checkpoint;
mod error;
pub mod estimator;
pub mod events;
pub mod every;
mod forward_forward;
pub mod gradient;
pub mod guard;
pub mod lock;
pub mod loss;
mod number;
pub mod optimizer;
pub mod schedule;
pub mod tensorboard;
pub mod trainer;
pub mod trajectory;

pub use error::TrainError;
pub use estimator::Estimator;
pub use forward_forward::ForwardForward;
pub use gradient::Gradient;
pub use trainer::Trainer;
