import HTTPTypes
import Hummingbird
import Logging

/// An error as `application/problem+json` (RFC 9457).
struct Problem: Sendable {
    let status: HTTPResponse.Status
    /// What is wrong and what to do, one sentence.
    let detail: String

    var response: Response {
        let title = LogText.json(status.reasonPhrase)
        let detail = LogText.json(detail)
        let json = "{\"type\":\"about:blank\",\"title\":\(title),\"status\":\(status.code),\"detail\":\(detail)}"
        return .json(json, status, type: "application/problem+json")
    }
}

extension Response {
    /// A JSON body that no cache may keep: it speaks of a moment.
    static func json(_ text: String, _ status: HTTPResponse.Status, type: String = "application/json") -> Response {
        Response(
            status: status,
            headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}

/// Turns whatever goes wrong into a problem. It stands outermost.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            let what = "\(request.method.rawValue) \(request.uri.path)"
            return Problem(status: .notFound, detail: "\(what) does not exist: see /openapi.yaml.").response
        } catch let error as HTTPError {
            let detail = error.body ?? "The request cannot be answered: see /openapi.yaml."
            var response = Problem(status: error.status, detail: detail).response
            response.headers.append(contentsOf: error.headers)
            return response
        } catch {
            // What broke may hold what nobody may see: it goes to the log and not to the client.
            context.logger.error("a request failed", metadata: ["error": "\(type(of: error))"])
            return Problem(status: .internalServerError, detail: "The gate could not answer: see its log.").response
        }
    }
}
