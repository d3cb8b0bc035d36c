import Foundation
import TestKit

/// Counts from outside what one loop of a gate asks for: see `allocation_meter.c`, which is preloaded into the gate.
final class LoopMeter {
    /// What the loop has done so far.
    struct Reading {
        /// Calls of malloc and its kin, by whatever library.
        var allocations: Int
        var accepted: Int

        static func - (left: Self, right: Self) -> Self {
            Self(
                allocations: left.allocations - right.allocations,
                accepted: left.accepted - right.accepted
            )
        }
    }

    /// What the gate's process is to have in its environment.
    let environment: [String: String]
    private let file: URL

    /// - Parameters:
    ///   - folder: where the meter is compiled, and counts.
    ///   - thread: the name of the loop's thread.
    init(in folder: URL, thread: String) throws {
        let source = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "allocation_meter.c").path
        let library = folder.appending(path: "allocation_meter.so").path
        // Not built with the tests: these may be under a sanitizer, which the gate that is measured is not. Wherever Swift is there is a clang.
        let compile = "-O2 -Wall -Wextra -Werror -shared -fPIC -o '\(library)' '\(source)' -ldl"
        let answer = try Shell.run(
            "if command -v clang >/dev/null; then clang \(compile); else cc \(compile); fi"
        )
        guard answer.code == 0 else {
            throw World.Vain(description: "the meter was not compiled: \(answer.output)")
        }
        file = folder.appending(path: "meter")
        environment = ["LD_PRELOAD": library, "METER_THREAD": thread, "METER_FILE": file.path]
    }

    func read() throws -> Reading {
        let bytes = try Data(contentsOf: file)
        let numbers = stride(from: 0, to: bytes.count - bytes.count % 8, by: 8).map { start in
            // As the processor keeps them.
            bytes[start..<start + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        guard numbers.count == 2 else { throw World.Vain(description: "the meter counts nothing") }
        return Reading(allocations: Int(numbers[0]), accepted: Int(numbers[1]))
    }
}
