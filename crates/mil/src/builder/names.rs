//! Names and errors of the builder.

use super::{BuildError, Builder, NOTHING, Node, Var};
use crate::check::identifier;
use crate::ops;

impl Builder {
    /// Keeps the first error.
    pub(super) fn fail(&mut self, subject: &str, message: String) -> Var {
        if self.error.is_none() {
            self.error = Some(BuildError { subject: ops::shortened(subject), message });
        }
        NOTHING
    }

    pub(super) fn node(&mut self, node: Node) -> Var {
        self.nodes.push(node);
        Var(self.nodes.len() - 1)
    }

    /// `name`, taken from now on; none, with an error, where it cannot be.
    pub(super) fn claim(&mut self, name: &str) -> Option<String> {
        if self.error.is_some() {
            return None;
        }
        let wrong = match identifier(name) {
            Err(e) => Some(e),
            Ok(()) if name.len() < 2 => Some("a name has two characters or more".into()),
            Ok(()) if ops::find(name).is_some() => Some("an operation is called so".into()),
            Ok(()) if !self.taken.insert(name.to_owned()) => Some("the name is taken".into()),
            Ok(()) => None,
        };
        match wrong {
            Some(message) => {
                self.fail(name, message);
                None
            }
            None => Some(name.to_owned()),
        }
    }

    /// A name that begins with `stem`.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        let mut number = self.nodes.len();
        loop {
            let name = format!("{stem}_{number}");
            if self.taken.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }
}
