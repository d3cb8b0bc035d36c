import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import PortcullisReactor

/// Fetches key sets over HTTP: within bounds of time, size and redirects, and over TLS only from who proves to be the host.
struct KeyFetcher: Sendable {
    struct Limits: Sendable {
        var connect = Duration.seconds(5)
        /// Until the last byte, redirects included.
        var whole = Duration.seconds(10)
        var bytes = 1 << 20
        var redirects = 3
    }

    var limits = Limits()

    /// Asks once.
    /// - Throws: ``KeyFetchFailure``, or `CancellationError` where the task was cancelled.
    func fetch(_ url: KeySetURL) async throws -> [UInt8] {
        let limits = limits
        return try await withThrowingTaskGroup(of: [UInt8].self) { group in
            group.addTask { try await follow(url) }
            group.addTask {
                try await Task.sleep(for: limits.whole)
                throw KeyFetchFailure("there was no whole answer within \(Units.text(limits.whole))")
            }
            // The client's own deadline ends with the head of the answer; this one covers the body too.
            defer { group.cancelAll() }
            return try await group.next() ?? []
        }
    }

    private func follow(_ first: KeySetURL) async throws -> [UInt8] {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.timeout.connect = .nanoseconds(limits.connect.wholeMilliseconds * 1_000_000)
        configuration.timeout.read = .nanoseconds(limits.whole.wholeMilliseconds * 1_000_000)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        // One a fetch: fetches are minutes apart, and nothing of one is left for the next.
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        // Not waited for: it may have to wait for a resolver that does not answer.
        defer { Task { try? await client.shutdown() } }
        do {
            return try await follow(first, client)
        } catch let failure as KeyFetchFailure {
            throw failure
        } catch {
            try Task.checkCancellation()
            throw KeyFetchFailure(error)
        }
    }

    private func follow(_ first: KeySetURL, _ client: HTTPClient) async throws -> [UInt8] {
        var url = first
        for _ in 0...limits.redirects {
            var request = HTTPClientRequest(url: url.address)
            request.headers.add(name: "Accept", value: "application/jwk-set+json, application/json")
            // A redirect to the same host must not meet a connection that the host is about to close.
            request.headers.add(name: "Connection", value: "close")
            request.headers.add(name: "User-Agent", value: "portcullis/\(GateServer.version)")
            if let authorization = url.authorization {
                request.headers.add(name: "Authorization", value: authorization)
            }
            let response = try await client.execute(request, deadline: .now() + .hours(1))
            switch response.status.code {
            case 200: return try await body(response)
            case 301, 302, 303, 307, 308:
                guard let location = response.headers.first(name: "Location") else {
                    throw KeyFetchFailure("it answered \(response.status.code) and named no other place")
                }
                guard let next = url.following(location) else {
                    throw KeyFetchFailure("it sent on to a place that keys are not fetched from")
                }
                url = next
            default: throw KeyFetchFailure("it answered \(response.status.code), not 200")
            }
        }
        throw KeyFetchFailure("it sent on more than \(limits.redirects) times")
    }

    private func body(_ response: HTTPClientResponse) async throws -> [UInt8] {
        do {
            let body = try await response.body.collect(upTo: limits.bytes)
            // What is cancelled ends as if it were whole.
            try Task.checkCancellation()
            return Array(body.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw KeyFetchFailure("its answer is larger than \(Units.text(size: limits.bytes))")
        }
    }
}

/// Why a key set could not be fetched: the end of a sentence for the operator. It holds no part of the URL.
struct KeyFetchFailure: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    fileprivate init(_ error: any Error) {
        switch error as? HTTPClientError {
        case .connectTimeout: description = "it did not accept a connection in time"
        case .readTimeout, .deadlineExceeded: description = "it did not answer in time"
        case .remoteConnectionClosed: description = "it closed the connection before its answer was whole"
        default:
            let text = "\(error)"
            if let error = error as? IOError {
                description = SocketError.text(error.errnoCode)
            } else if text.contains("CERTIFICATE_VERIFY_FAILED") {
                description = "its certificate is none that this machine trusts for that host"
            } else {
                description = String(LogText.escaped(text).prefix(200))
            }
        }
    }
}
