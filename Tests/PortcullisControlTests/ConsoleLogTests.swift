import Foundation
import Logging
import Synchronization
import Testing

@testable import PortcullisControl

/// What a log wrote.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func log(_ level: LogLevel = .info, _ format: LogFormat = .text) -> ConsoleLog {
        let now: @Sendable () -> Int64 = { 1_767_268_800_123 }
        return ConsoleLog(level: level, format: format, now: now) { line in self.lines.withLock { $0.append(line) } }
    }
}

@Suite struct ConsoleLogTests {
    @Test func aLineHasTimeLevelMessageAndKeys() {
        let lines = Lines()
        let logger = lines.log().logger(label: "gate")
        logger.info("message", metadata: ["key": "value", "a": "two words", "empty": "", "list": ["x", "y"]])
        let expected =
            "2026-01-01T12:00:00.123Z info message a=\"two words\" empty=\"\" key=value list=\"[\\\"x\\\", \\\"y\\\"]\"\n"
        #expect(lines.all == [expected])
    }

    @Test func whatAPeerSendsStaysOnItsLine() {
        let lines = Lines()
        let logger = lines.log().logger(label: "gate")
        logger.warning("a\nb\u{1B}[2J", metadata: ["k\n": "x\r\ny\u{7F}\u{85}\u{202E}\"=\\"])
        let expected =
            "2026-01-01T12:00:00.123Z warning a\\nb\\u001b[2J k\\n=\"x\\r\\ny\\u007f\\u0085\\u202e\\\"=\\\\\"\n"
        #expect(lines.all == [expected])
    }

    @Test func aJSONLineIsOneObject() throws {
        let lines = Lines()
        var logger = lines.log(.info, .json).logger(label: "gate")
        logger[metadataKey: "node"] = "a"
        logger.error("it \"broke\"\n", metadata: ["n": .stringConvertible(5), "m": ["x": ["y\u{0}"]]])
        let line = try #require(lines.all.first)
        #expect(line.hasSuffix("}\n") && line.dropLast().allSatisfy { $0 != "\n" })
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? NSDictionary)
        let expected: NSDictionary = [
            "time": "2026-01-01T12:00:00.123Z", "level": "error", "logger": "gate", "message": "it \"broke\"\n",
            "metadata": ["n": "5", "node": "a", "m": ["x": ["y\u{0}"]]],
        ]
        #expect(object == expected)
    }

    @Test func theLevelMayChangeWhileLoggersAreInUse() {
        let lines = Lines()
        let log = lines.log(.warning)
        let logger = log.logger(label: "a")
        var loud = log.logger(label: "b")
        loud.logLevel = .trace
        logger.info("1")
        loud.info("2")
        log.level = .debug
        logger.debug("3")
        #expect(lines.all.map { $0.suffix(2) } == ["2\n", "3\n"])
    }

    @Test func aLineGoesToTheDescriptorWhole() throws {
        let pipe = Pipe()
        let log = ConsoleLog(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        log.logger(label: "x").info("hello")
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        #expect(text.hasSuffix("Z info hello\n"))
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] as [(Int64, String)]
    )
    func timestampsAreCivil(milliseconds: Int64, text: String) {
        #expect(LogLine.timestamp(milliseconds) == text)
    }
}
