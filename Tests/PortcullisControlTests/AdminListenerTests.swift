import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import PortcullisControl

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The report that a listener gives.
private final class Report: Sendable {
    private let report: Mutex<ReadinessReport>

    init(_ report: ReadinessReport) {
        self.report = Mutex(report)
    }

    var value: ReadinessReport {
        get { report.withLock { $0 } }
        set { report.withLock { $0 = newValue } }
    }
}

/// One answer of a listener.
private struct Answer {
    let status: Int
    let head: String
    let body: String

    func json() throws -> NSDictionary {
        try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? NSDictionary)
    }
}

/// Runs a listener while `body` asks it.
private func withListener(
    _ address: ListenAddress = .tcp(host: "127.0.0.1", port: 0),
    report: Report = Report(ReadinessReport(isReady: true)),
    _ body: (ListenAddress) async throws -> Void
) async throws {
    let listener = AdminListener(address: address, logger: quiet) { report.value }
    let group = ServiceGroup(services: [listener], logger: quiet)
    async let running: Void = group.run()
    let bound = try #require(await listener.bound())
    try await body(bound)
    await group.triggerGracefulShutdown()
    try await running
}

/// Sends a request and reads until the other end closes.
private func ask(_ address: ListenAddress, _ request: String) async throws -> Answer {
    let text = await onOwnThread("ask") {
        RawHTTP.exchange(address, "\(request) HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    }
    let parts = try #require(text).split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
    let status = try #require(parts.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) })
    return Answer(status: status, head: parts.first?.lowercased() ?? "", body: parts.count > 1 ? String(parts[1]) : "")
}

@Suite struct AdminListenerTests {
    @Test func healthIsAlwaysOK() async throws {
        try await withListener(report: Report(ReadinessReport(isReady: false))) { address async throws in
            let answer = try await ask(address, "GET /healthz")
            #expect(answer.status == 200)
            #expect(answer.body == "{\"status\":\"ok\"}")
            #expect(answer.head.contains("content-type: application/json"))
            #expect(try await ask(address, "HEAD /healthz").status == 200)
        }
    }

    @Test func readinessIsTheReport() async throws {
        let report = Report(ReadinessReport(isReady: false, isFrozen: true))
        try await withListener(report: report) { address async throws in
            let frozen = try await ask(address, "GET /readyz")
            #expect(frozen.status == 503)
            let unknown: NSDictionary = [
                "ready": false, "position": NSNull(), "staleness_ms": NSNull(), "probe_ms": NSNull(), "frozen": true,
                "unknown_events": 0, "connections": 0,
            ]
            #expect(try frozen.json() == unknown)

            report.value = ReadinessReport(
                isReady: true,
                position: "1700-0",
                stalenessMilliseconds: 12,
                probeMilliseconds: 3,
                unknownEvents: 4,
                connections: 5
            )
            let ready = try await ask(address, "GET /readyz?x=y")
            #expect(ready.status == 200)
            let known: NSDictionary = [
                "ready": true, "position": "1700-0", "staleness_ms": 12, "probe_ms": 3, "frozen": false,
                "unknown_events": 4, "connections": 5,
            ]
            #expect(try ready.json() == known)
            #expect(ready.head.contains("cache-control: no-store"))
        }
    }

    @Test(arguments: ["GET /", "GET /healthz/x", "POST /healthz", "GET /%22%0d%0a", "DELETE /readyz"])
    func whatDoesNotExistIsAProblem(request: String) async throws {
        try await withListener { address async throws in
            let answer = try await ask(address, request)
            #expect(answer.status == 404)
            #expect(answer.head.contains("content-type: application/problem+json"))
            let problem = try answer.json()
            #expect(problem["status"] as? Int == 404)
            #expect(problem["title"] as? String == "Not Found")
        }
    }

    @Test func itListensOnASocketOfItsUser() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/admin.sock"
        try await withListener(.unix(path: path)) { address async throws in
            #expect(address == .unix(path: path))
            #expect(try folder.permissions(path) == 0o600)
            #expect(try await ask(address, "GET /healthz").status == 200)
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func anAddressInUseIsNamed() async throws {
        try await withListener { address async throws in
            let second = AdminListener(address: address, logger: quiet) { ReadinessReport(isReady: true) }
            let error = await #expect(throws: StartupError.self) { try await second.run() }
            #expect(error?.description.hasPrefix("\(address) is in use by another program: ") == true)
            #expect(await second.bound() == nil)
        }
    }
}
