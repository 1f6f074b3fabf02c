/**
 * The nouns of the page, as JSDoc types; nothing runs here. A photo is its number in the list of
 * names. A leaf is a row of the model: 0..P-1 are the centroids, P..R-1 belong to classes that only
 * marks have. A node is a node of the tree of the centroids, numbered as in scipy.
 *
 * @typedef {"clusters"|"photos"|"check"|"results"} Tab
 * @typedef {"name"|"doubt"|"share"|"newest"} Sort
 * @typedef {"all"|"with"|"touched"|"accepted"|"changed"} Filter  "with": shows what `only`, or else
 *   the question, is about
 * @typedef {"segment"|"brush"|"polygon"|"box"|"eraser"|"pan"} Tool
 * @typedef {"starting"|"setup"|"training"|"ready"|"failed"} Phase
 * @typedef {{name: string}|{node: number}} Scope  a class, or a node of the tree
 *
 * @typedef {Object} Status  GET /api/status
 * @property {Phase} phase
 * @property {string} title  name of the folder
 * @property {string|null} run
 * @property {string} folder
 * @property {number} photos
 * @property {string} message
 * @property {string[]} problems
 * @property {string} version
 *
 * @typedef {Object} Photos  GET /api/photos
 * @property {string[]} names
 * @property {number[]} times  of the last change, seconds
 * @property {string[]} [notes]
 *
 * @typedef {Object} Model  GET /api/model
 * @property {number} centroids  P
 * @property {[number, number, number][]} tree  left, right, height of the nodes P, P + 1, ...
 * @property {number} trained  K of the training
 * @property {number} suggested  K with the widest gap in the tree
 * @property {number[][]} alike  (P, P), 100 times the cosine
 * @property {string[]} node_colours  "#rrggbb" of each node
 * @property {string[]} palette  "#rrggbb" for classes that only marks have
 * @property {string|null} taught
 *
 * @typedef {Object} NamedClass
 * @property {string} name
 * @property {string} colour  "#rrggbb"
 * @property {boolean} ignore
 * @property {number[]} nodes
 * @property {number[]} leaves
 *
 * @typedef {Object} Head
 * @property {number} version
 * @property {"none"|"fitting"|"quick"|"settled"} state
 * @property {number} marks
 * @property {string[]} notes
 *
 * @typedef {Object} Question
 * @property {number} node
 * @property {string} name  "" asks for a name; else whether its two children are the same thing
 * @property {number[]} members
 * @property {[number, number]|null} children
 * @property {number|null} share  of the pixels, 0..1
 * @property {[number, number]|null} child_shares
 * @property {string[]} alike
 *
 * @typedef {Object} State  GET /api/state
 * @property {number} end  of the log
 * @property {number} clusters  K
 * @property {NamedClass[]} classes
 * @property {string[]} extra  class of the leaves P, P + 1, ...
 * @property {Head} head
 * @property {string|null} undo  what undo would take back
 * @property {string|null} redo
 * @property {number[]} accepted
 * @property {Record<string, number>} touched  number of marks by photo
 * @property {Question[]} questions
 * @property {string[]} problems
 * @property {number} seconds  of work so far
 * @property {number} acts
 *
 * @typedef {[number, number]} Point  (x, y) in pixels of the upright photo
 *
 * @typedef {{act: "name", node?: number, nodes?: number[], title: string}
 *   | {act: "unname", node: number}
 *   | {act: "rename", title: string, to: string}
 *   | {act: "colour", title: string, colour: string}
 *   | {act: "clear", title: string}
 *   | {act: "cut", clusters: number}
 *   | {act: "stroke", photo: number, title: string, points: Point[], radius: number}
 *   | {act: "polygon", photo: number, title: string, points: Point[]}
 *   | {act: "box", photo: number, title: string, box: [number, number, number, number]}
 *   | {act: "segment", photo: number, title: string, rings: Point[][]}
 *   | {act: "erase", photo: number, points: Point[], radius: number}
 *   | {act: "accept", photo: number}
 *   | {act: "undo", of?: string}
 *   | {act: "redo"}} Act  POST /api/act; title "ignore" makes pixels void
 *
 * @typedef {Object} ActAnswer
 * @property {string|null} event  id in the log
 * @property {string[]} said
 * @property {State} state
 *
 * @typedef {Object} Progress  photos whose maps and counts are known
 * @property {number} done
 * @property {number} total
 * @property {number} failed
 * @property {number|null} seconds_left
 *
 * @typedef {Object} Job
 * @property {string} id
 * @property {string} kind
 * @property {string} label
 * @property {"waiting"|"running"|"done"|"failed"|"cancelled"} state
 * @property {number} done
 * @property {number} total
 * @property {string} message
 * @property {string|null} out
 * @property {string} command
 *
 * @typedef {Object} LeafMap  the winning leaf of each cell of a photo
 * @property {number} id  the photo
 * @property {number} version  of the head
 * @property {number} w
 * @property {number} h
 * @property {Uint8Array|Uint16Array} data  row by row
 *
 * @typedef {Object} Group  a class, or a cluster without a name
 * @property {string} key  "name road" or "node 70": the same before and after an act
 * @property {string} title  name of the class; "" for a cluster
 * @property {number} node  its first node; -1 for a class that only marks have
 * @property {number[]} leaves
 * @property {string} colour  "#rrggbb"
 * @property {boolean} ignore
 *
 * @typedef {Object} Table  how leaves are painted; two leaves with one key look the same
 * @property {Uint16Array} keys  (R,) leaf to key
 * @property {Uint8ClampedArray} colours  (4 * number of keys) RGBA, not premultiplied
 * @property {string[]} titles  class of each key; "" for a cluster without a name
 * @property {string[]} names  `Group.key` of each key, to compare tables
 * @property {Uint8Array} hot  1 = the key glows
 *
 * @typedef {Object} View  what this page looks at; none of it is in the log
 * @property {Tab} tab
 * @property {number} opacity  of masks, 0..1
 * @property {boolean} outlines
 * @property {Scope|null} only  everything else is transparent
 * @property {Scope|null} glow  lights up, in every photo
 * @property {Sort} sort
 * @property {Filter} filter
 * @property {number} tile  width of a photo on the wall, CSS pixels
 * @property {number|null} node  the question on the card
 * @property {{left: number, right: number}|null} preview  the halves of a split, in two colours
 * @property {boolean} changed  show what the last act changed
 * @property {boolean} hidden  masks, while h is held
 * @property {boolean} drawer  the right column is open, on a narrow screen
 * @property {number|null} photo  in the large view
 * @property {Tool} tool
 * @property {number} radius  of brush and eraser, CSS pixels
 * @property {string} title  class that tools give
 *
 * @typedef {Object} Data  what the server has said
 * @property {Status|null} status
 * @property {Photos|null} photos
 * @property {Model|null} model
 * @property {State|null} state
 * @property {Progress|null} progress
 * @property {Job[]} jobs
 * @property {any} check  the last `check` event or answer of GET /api/check
 * @property {string} error  in the status line until it is closed; "" = none
 * @property {string} said  in the status line until something else is
 * @property {"saved"|"saving"|"waiting"} saving  "waiting": acts are kept until the server is back
 * @property {boolean} gone  the server does not answer
 *
 * @typedef {(what: Set<string>) => void} Listener  told the names of what changed: keys of Data as
 *   "state", keys of View as "view.glow", and "maps", "counts" and "check.news"
 */
export {};
