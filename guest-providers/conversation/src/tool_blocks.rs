//! Tool calls of a streamed answer that comes in numbered blocks, some of them calls (Anthropic, Bedrock).

/// The calls so far.
#[derive(Debug, Default)]
pub struct ToolBlocks {
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    block: u32,
    has_arguments: bool,
}

impl ToolBlocks {
    /// Whether there was a call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// A block begins that is a call: its index among the calls.
    pub fn start(&mut self, block: u32) -> u32 {
        self.calls.push(Call {
            block,
            has_arguments: false,
        });
        index(self.calls.len() - 1)
    }

    /// A piece of a block's arguments came: the index of its call.
    pub fn piece(&mut self, block: u32, arguments: &str) -> Option<u32> {
        let at = self.calls.iter().rposition(|call| call.block == block)?;
        let call = self.calls.get_mut(at)?;
        call.has_arguments |= !arguments.is_empty();
        Some(index(at))
    }

    /// A block ends: the index of its call, if that came without arguments. They are `{}` then.
    pub fn stop(&mut self, block: u32) -> Option<u32> {
        let at = self.calls.iter().rposition(|call| call.block == block)?;
        let call = self.calls.get_mut(at)?;
        let lacks = !call.has_arguments;
        call.has_arguments = true;
        lacks.then_some(index(at))
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_among_themselves() {
        let mut blocks = ToolBlocks::default();
        assert_eq!(blocks.piece(0, "text"), None);
        assert_eq!((blocks.start(1), blocks.start(3)), (0, 1));
        assert_eq!((blocks.piece(3, "{}"), blocks.piece(1, "{")), (Some(1), Some(0)));
        assert_eq!((blocks.stop(1), blocks.stop(3), blocks.stop(0)), (None, None, None));
    }

    #[test]
    fn a_call_without_arguments_gets_them_once() {
        let mut blocks = ToolBlocks::default();
        blocks.start(0);
        blocks.piece(0, "");
        assert_eq!((blocks.stop(0), blocks.stop(0)), (Some(0), None));
    }
}
