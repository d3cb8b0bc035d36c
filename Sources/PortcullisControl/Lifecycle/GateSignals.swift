import Glibc
import Logging
import UnixSignals

/// What the signals mean: SIGHUP reloads, SIGTERM and SIGINT end in order, and a second one of them ends at once.
enum GateSignals {
    /// Reloads at every SIGHUP, until the task is cancelled.
    /// - Parameter hangups: made before the start, so that one in between is kept.
    static func reload(_ hangups: UnixSignalsSequence, _ reload: () -> Void) async {
        for await _ in hangups { reload() }
    }

    /// - Parameter stop: begins the orderly end, and returns at once.
    static func end(_ ends: UnixSignalsSequence, _ logger: Logger, _ stop: () async -> Void) async {
        var isEnding = false
        for await signal in ends {
            guard !isEnding else {
                logger.warning("a second signal: the gate ends at once", metadata: ["signal": "\(signal)"])
                // Whoever waits is told by the code that it was no orderly end.
                _exit(128 + (signal == .sigint ? SIGINT : SIGTERM))
            }
            isEnding = true
            logger.notice("draining; a second signal ends the gate at once", metadata: ["signal": "\(signal)"])
            await stop()
        }
    }
}
