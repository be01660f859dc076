//! How many requests may be under way: more when all goes well, half as many when the server is overloaded.
//!
//! Additive increase, multiplicative decrease, as TCP has it (RFC 5681, section 3.1): one more after as many successes
//! as the limit, half after a sign of overload. What was sent before the last decrease cannot tell whether that was
//! enough, so it decreases nothing; TCP, too, answers a burst of losses once (RFC 6582).

/// The limit and what moves it.
#[derive(Debug)]
pub(crate) struct Aimd {
    floor: usize,
    ceiling: usize,
    limit: usize,
    /// Successes of this round, which ends with as many as the limit.
    successes: usize,
    /// Whether as many as the limit were under way in this round: one that is not reached has not been tried.
    reached: bool,
    epoch: u64,
}

impl Aimd {
    /// Begins at the ceiling: nothing is held back before the server has complained.
    pub fn new(floor: usize, ceiling: usize) -> Self {
        Self {
            floor: floor.clamp(1, ceiling),
            ceiling,
            limit: ceiling,
            successes: 0,
            reached: false,
            epoch: 0,
        }
    }

    /// Moves between these from here on. What was found out by complaints of the server stands.
    pub fn resize(&mut self, floor: usize, ceiling: usize) {
        let limit = if self.is_lowered() { self.limit } else { ceiling };
        self.floor = floor.clamp(1, ceiling);
        self.ceiling = ceiling;
        self.limit = limit.clamp(self.floor, ceiling);
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn is_lowered(&self) -> bool {
        self.limit < self.ceiling
    }

    /// The time between two decreases in which a request is sent now.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A request has begun, and `in_flight` are under way with it.
    pub fn began(&mut self, in_flight: usize) {
        self.reached |= in_flight >= self.limit;
    }

    /// A request of `epoch` went well.
    pub fn succeeded(&mut self, epoch: u64) {
        if epoch != self.epoch || !self.is_lowered() {
            return;
        }
        self.successes += 1;
        if self.successes >= self.limit {
            self.successes = 0;
            self.limit += usize::from(self.reached);
            self.reached = false;
        }
    }

    /// A request of `epoch` met with overload.
    pub fn overloaded(&mut self, epoch: u64) {
        if epoch != self.epoch {
            return;
        }
        self.epoch += 1;
        self.successes = 0;
        self.reached = false;
        self.limit = (self.limit / 2).max(self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_halves_the_limit_down_to_the_floor() {
        let mut aimd = Aimd::new(3, 16);
        let limits: Vec<_> = (0..4)
            .map(|_| {
                aimd.overloaded(aimd.epoch());
                aimd.limit()
            })
            .collect();
        assert_eq!(limits, [8, 4, 3, 3]);
    }

    #[test]
    fn many_signs_of_one_overload_halve_it_once() {
        let mut aimd = Aimd::new(1, 16);
        let epoch = aimd.epoch();
        for _ in 0..16 {
            aimd.overloaded(epoch);
        }
        assert_eq!(aimd.limit(), 8);
    }

    #[test]
    fn as_many_successes_as_the_limit_raise_it_by_one_up_to_the_ceiling() {
        let mut aimd = Aimd::new(1, 6);
        aimd.overloaded(aimd.epoch());
        for expected in [4, 5, 6, 6] {
            for _ in 0..aimd.limit() {
                aimd.began(aimd.limit());
                aimd.succeeded(aimd.epoch());
            }
            assert_eq!(aimd.limit(), expected);
        }
    }

    #[test]
    fn another_ceiling_is_the_limit_unless_the_server_has_complained() {
        let mut aimd = Aimd::new(1, 8);
        aimd.resize(1, 16);
        assert_eq!((aimd.limit(), aimd.is_lowered()), (16, false));
        aimd.overloaded(aimd.epoch());
        aimd.resize(1, 32);
        assert_eq!((aimd.limit(), aimd.is_lowered()), (8, true));
        aimd.resize(1, 4);
        assert_eq!((aimd.limit(), aimd.is_lowered()), (4, false));
    }

    #[test]
    fn a_limit_that_nobody_reaches_is_not_raised() {
        let mut aimd = Aimd::new(1, 8);
        aimd.overloaded(aimd.epoch());
        for _ in 0..100 {
            aimd.began(3);
            aimd.succeeded(aimd.epoch());
        }
        assert_eq!(aimd.limit(), 4);
    }
}
