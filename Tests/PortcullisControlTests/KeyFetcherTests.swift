import Foundation
import TestKit
import Testing

@testable import PortcullisControl

/// What is fetched, and what is not, from a server that does as it likes.
@Suite struct KeyFetcherTests {
    private static func fetch(
        _ url: String,
        _ change: (inout KeyFetcher.Limits) -> Void = { _ in }
    ) async throws -> [UInt8] {
        var fetcher = KeyFetcher()
        change(&fetcher.limits)
        return try await fetcher.fetch(#require(KeySetURL(url)))
    }

    /// The reason of a fetch that fails.
    private static func reason(
        _ url: String,
        _ change: (inout KeyFetcher.Limits) -> Void = { _ in }
    ) async -> String {
        do {
            return "fetched \(try await fetch(url, change).count)"
        } catch {
            return "\(error)"
        }
    }

    @Test func theBodyOfA200() async throws {
        let server = try KeyServer()
        server.answer(.body(Array("{}".utf8)))
        #expect(try await Self.fetch(server.url()) == Array("{}".utf8))
        let head = try #require(server.requests().first)
        #expect(head.contains("application/jwk-set+json"))
        #expect(!head.lowercased().contains("authorization"))
    }

    @Test(arguments: [204, 304, 401, 404, 500, 503])
    func anotherStatusIsNoAnswer(status: Int) async throws {
        let server = try KeyServer()
        server.answer(.status(status))
        #expect(await Self.reason(server.url()) == "it answered \(status), not 200")
    }

    @Test func anAnswerHasABound() async throws {
        let server = try KeyServer()
        server.answer(.body(Array(repeating: 0x20, count: 1 << 20)))
        #expect(try await Self.fetch(server.url()).count == 1 << 20)
        server.answer(.body(Array(repeating: 0x20, count: 1 << 20 + 1)))
        #expect(await Self.reason(server.url()) == "its answer is larger than 1MiB")
        // One that does not say how long it is.
        server.answer(.raw(Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + Array(repeating: 0x20, count: 5 << 20)))
        #expect(await Self.reason(server.url()) == "its answer is larger than 1MiB")
    }

    @Test func whoeverHangsIsLeft() async throws {
        let server = try KeyServer()
        for answer in [KeyServer.Answer.silence, .stall(Array("{".utf8))] {
            server.answer(answer)
            let reason = await Self.reason(server.url()) { $0.whole = .milliseconds(300) }
            #expect(reason.contains("answer"), "\(reason)")
            #expect(!reason.contains("fetched"))
        }
    }

    @Test func whatIsCutOffIsNotTaken() async throws {
        let server = try KeyServer()
        server.answer(.raw(Array("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"keys\":[]}".utf8)))
        let reason = await Self.reason(server.url())
        #expect(!reason.contains("fetched"), "\(reason)")
        server.answer(.raw(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)))
        #expect(await !Self.reason(server.url()).contains("fetched"))
        server.stop()
        let refused = await Self.reason(server.url())
        #expect(refused == "Connection refused")
    }

    @Test func threeRedirectsAndNoMore() async throws {
        let server = try KeyServer()
        server.answer(.body(Array("{}".utf8)), on: "/d")
        server.answer(.status(302, location: "/d"), on: "/c")
        server.answer(.status(307, location: server.url("/c")), on: "/b")
        server.answer(.status(301, location: "b#fragment"), on: "/a")
        #expect(try await Self.fetch(server.url("/a")) == Array("{}".utf8))
        server.answer(.status(308, location: "/a"))
        #expect(await Self.reason(server.url()) == "it sent on more than 3 times")
        server.answer(.status(302))
        #expect(await Self.reason(server.url()).contains("named no other place"))
    }

    @Test(arguments: [
        "file:///etc/passwd", "unix:/run/x", "ftp://127.0.0.1/", "http+unix://%2Frun%2Fx/", "http://", "//",
    ])
    func redirectsLeadToHTTPAlone(location: String) async throws {
        let server = try KeyServer()
        server.answer(.status(302, location: location))
        #expect(await Self.reason(server.url()) == "it sent on to a place that keys are not fetched from")
        #expect(server.requests().count == 1)
    }

    @Test func aRedirectNeverGivesUpTLS() throws {
        let url = try #require(KeySetURL("https://issuer.example/a/keys"))
        #expect(url.following("http://issuer.example/keys") == nil)
        #expect(url.following("HTTP://issuer.example/keys") == nil)
        #expect(url.following("keys2")?.address == "https://issuer.example/a/keys2")
        #expect(url.following("//other.example/k")?.address == "https://other.example/k")
        #expect(KeySetURL("http://a/")?.following("https://b/k")?.address == "https://b/k")
    }

    @Test func thePasswordGoesToItsOwnOriginAndIntoNoText() async throws {
        let server = try KeyServer()
        let other = try KeyServer()
        other.answer(.body(Array("{}".utf8)))
        server.answer(.status(302, location: "/second"))
        server.answer(.status(302, location: other.url()), on: "/second")
        let text = server.url(account: "gate:s%40same@")
        #expect(try await Self.fetch(text) == Array("{}".utf8))
        let expected = "Authorization: Basic \(Data("gate:s@same".utf8).base64EncodedString())"
        #expect(server.requests().allSatisfy { $0.contains(expected) })
        #expect(server.requests("/second").allSatisfy { $0.contains(expected) })
        #expect(other.requests().count == 1 && !other.requests()[0].lowercased().contains("authorization"))

        let url = try #require(KeySetURL(text))
        var dumped = ""
        dump(url, to: &dumped)
        for shown in ["\(url)", String(reflecting: url), dumped, "\(KeySetPlace.url(url))"] {
            #expect(!shown.contains("same"), "\(shown)")
        }
        #expect("\(url)" == server.url(account: "gate:***@"))
        #expect("\(try #require(KeySetURL("https://a/k?api_key=s3same")))" == "https://a/k?***")
        #expect("\(try #require(KeySetURL("https://a/k?p=B2C_1")))" == "https://a/k?p=B2C_1")
    }

    @Test(arguments: [
        "http://", "https:///k", "ftp://a/", "http://a b/", "http://a:0/", "http://a:99999/", "://a", "a://",
    ])
    func noURLOfAKeySet(text: String) {
        #expect(KeySetPlace(text) == nil)
    }

    @Test func aServerMustProveWhoItIs() async throws {
        let folder = try TemporaryFolder()
        let key = "\(folder.path)/key.pem"
        let certificate = "\(folder.path)/certificate.pem"
        let names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
        let made = try OpenSSL(request + ["-keyout", key, "-out", certificate] + names)
        #expect(try made.line(startingWith: "no such line") == nil, "it has ended")
        try Data("{}".utf8).write(to: URL(filePath: "\(folder.path)/keys"))
        let server = try OpenSSL(
            ["s_server", "-accept", "127.0.0.1:0", "-key", key, "-cert", certificate, "-WWW"],
            in: folder.path
        )
        // Not SIGTERM: a test of the same process may have it blocked, and the server inherits that.
        defer { kill(server.process.processIdentifier, SIGKILL) }
        let line = try #require(try server.line(startingWith: "ACCEPT"))
        let port = try #require(line.split(separator: ":").last)
        let reason = await Self.reason("https://127.0.0.1:\(port)/keys")
        #expect(reason == "its certificate is none that this machine trusts for that host")
    }
}

/// The `openssl` program.
private struct OpenSSL {
    let process = Process()
    private let output = Pipe()

    init(_ arguments: [String], in folder: String = "/tmp") throws {
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// The first line with that beginning; nil where the output ends before it.
    func line(startingWith beginning: String) throws -> String? {
        var text = ""
        while let more = try output.fileHandleForReading.read(upToCount: 1), !more.isEmpty {
            text += String(decoding: more, as: UTF8.self)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let found = lines.first(where: { $0.hasPrefix(beginning) }) { return String(found) }
        }
        return nil
    }
}
