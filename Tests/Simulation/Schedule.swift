/// What is to happen when: a binary heap by time, and by the order of entry within a millisecond.
struct Schedule {
    private struct Entry {
        let time: Int64
        let number: Int
        let act: () -> Void

        func isBefore(_ other: Entry) -> Bool {
            (time, number) < (other.time, other.number)
        }
    }

    private var heap: [Entry] = []
    private var number = 0

    mutating func add(at time: Int64, _ act: @escaping () -> Void) {
        number += 1
        heap.append(Entry(time: time, number: number, act: act))
        var child = heap.count - 1
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (time: Int64, act: () -> Void)? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least])
            {
                least = child
            }
            guard least != parent else { break }
            heap.swapAt(parent, least)
            parent = least
        }
        return (first.time, first.act)
    }

    mutating func removeAll() {
        heap = []
    }
}
