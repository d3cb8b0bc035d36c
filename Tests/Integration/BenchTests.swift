import Foundation
import FoundationXML
import TestKit
import Testing

/// Every scenario of `portcullis-bench`, with few connections: that it comes to an end and to numbers. How good they are is not asked of a
/// build for debugging on a busy machine.
@Suite(.serialized) struct BenchTests {
    private struct Report: Decodable {
        struct Row: Decodable {
            struct Ratio: Decodable {
                let mean: Double
            }

            let scenario: String
            let gate: Double
            let floor: Double?
            let ratio: Ratio?
        }

        let rows: [Row]
    }

    private static let program = URL(filePath: GateProcess.program).deletingLastPathComponent()
        .appending(path: "portcullis-bench").path
    private static let few = "--quick --json --connections 200 --rounds 1 --samples 10"

    @Test(arguments: [
        (words: "handshake", rows: 10), (words: "handshake --credential ES256-again --rate 500", rows: 1),
        (words: "growth", rows: 2), (words: "memory", rows: 5), (words: "idle", rows: 1),
        (words: "latency", rows: 4), (words: "latency --storm 200", rows: 4), (words: "mass", rows: 4),
        (words: "fanout", rows: 2), (words: "soak --times 4", rows: 3), (words: "replica --decisions 1000", rows: 6),
    ])
    func scenarioComesToNumbers(_ scenario: (words: String, rows: Int)) throws {
        let report = try report(scenario.words)
        #expect(report.rows.count == scenario.rows)
        let name = scenario.words.prefix { $0 != " " }
        for row in report.rows {
            #expect(row.scenario.hasPrefix(name))
            if let ratio = row.ratio {
                #expect(ratio.mean > 0 && ratio.mean.isFinite)
                #expect(row.gate > 0 && row.floor ?? 0 > 0)
            }
        }
    }

    @Test func ratiosAreDrawn() throws {
        let folder = try #require(try Shell.run("mktemp -d").output.split(separator: "\n").first)
        defer { try? FileManager.default.removeItem(atPath: String(folder)) }
        let file = "\(folder)/ratios.svg"
        _ = try report("fanout --plot \(file)")
        let drawing = try XMLDocument(contentsOf: URL(filePath: file))
        #expect(drawing.rootElement()?.name == "svg")
        // The ground, and a bar for each of the two.
        #expect(drawing.rootElement()?.elements(forName: "rect").count == 3)
    }

    @Test func unknownCredentialIsNamed() throws {
        let answer = try Shell.run("\(Self.program) handshake --credential none")
        #expect(answer.code == 64)
        #expect(answer.output.contains("There is no credential none: known are HS256, RS256"))
    }

    private func report(_ words: String) throws -> Report {
        let folder = try #require(try Shell.run("mktemp -d").output.split(separator: "\n").first)
        defer { try? FileManager.default.removeItem(atPath: String(folder)) }
        let answer = try Shell.run("\(Self.program) \(words) \(Self.few) >\(folder)/report.json")
        try #require(answer.code == 0, "\(answer.output)")
        return try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(filePath: "\(folder)/report.json")))
    }
}
