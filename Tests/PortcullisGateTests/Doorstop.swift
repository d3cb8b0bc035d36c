import Foundation
import PortcullisGate
import Synchronization

/// Holds the loop of a gate where it admits somebody.
final class Doorstop: Sendable {
    struct Vain: Error {}

    private let reached = DispatchSemaphore(value: 0)
    private let released = DispatchSemaphore(value: 0)
    private let left: Mutex<Int>

    /// At so many admissions.
    init(_ test: GateUnderTest, at count: Int) {
        left = Mutex(count)
        test.reports.whenAdded { [self] report in
            guard case .admitted = report else { return }
            let holds = left.withLock { left in
                left -= 1
                return left >= 0
            }
            guard holds else { return }
            reached.signal()
            _ = released.wait(timeout: .now() + 20)
        }
    }

    func waitUntilHeld() throws {
        guard reached.wait(timeout: .now() + 20) == .success else { throw Vain() }
    }

    func release() {
        released.signal()
    }
}
