/* Weighted Simplex with four members of weight 1, one of them Byzantine: no two final blocks fork.
 *
 * Rule: safety must not depend on time or on who hears what, so the model has neither: a member may
 * vote in any view at any moment, on the strength of any certificate that the votes cast so far can
 * form. Every behaviour of the protocol under loss, delay, reordering and restarts with intact
 * journals is one of the model's. The Byzantine member is counted in every certificate at once. Every
 * view's leader may propose two blocks with whatever parents: what an honest leader does is part of it.
 *
 * Honest members are interchangeable, and a member's votes in one view bind it in no other; the cells
 * of a view are therefore kept sorted (symmetry reduction).
 *
 * Spec: docs/spec/consensus.md (rules 2, 3, 5, 6, 7, 8); docs/explanation/model.md says what is left
 * out. Deviations: none. Mutants: -DNO_SKIP_CHECK -DNO_PARENT_CHECK -DFINALIZE_AFTER_NULLIFY
 * -DNULLIFY_AFTER_FINALIZE -DDOUBLE_NOTARIZE -DWEAK_QUORUM.
 */

#ifndef VIEWS
#define VIEWS 3
#endif
#define HONEST 3
#ifdef WEAK_QUORUM
#define QUORUM 1 /* honest votes that form a certificate together with the Byzantine one: 2 of 4 */
#else
#define QUORUM 2 /* 3 of 4 */
#endif

#define NONE 0 /* a vote not cast; also "no block" */

/* A cell is one honest member in one view: n + 3 * x + 6 * f.
 * n: the block notarized (0 none); x: whether nullified; f: the block finalized (0 none). */
#define N_OF(c) ((c) % 3)
#define X_OF(c) (((c) / 3) % 2)
#define F_OF(c) ((c) / 6)

byte cell[VIEWS * HONEST];
/* Parent of block b (1 or 2) of view v: 0 not proposed, 1 genesis, 2 * w + b' for block b' of view w. */
byte parent[VIEWS * 2];

#define CELL(v, i) cell[((v) - 1) * HONEST + (i)]
#define PARENT(v, b) parent[((v) - 1) * 2 + (b) - 1]

#define IS_N(v, i, b) (N_OF(CELL(v, i)) == (b))
#define IS_X(v, i) (X_OF(CELL(v, i)))
#define IS_F(v, i, b) (F_OF(CELL(v, i)) == (b))
#define NOTARIZED(v, b) (PARENT(v, b) != 0 && IS_N(v, 0, b) + IS_N(v, 1, b) + IS_N(v, 2, b) >= QUORUM)
#define NULLIFIED(v) (IS_X(v, 0) + IS_X(v, 1) + IS_X(v, 2) >= QUORUM)
#define FINAL(v, b) (IS_F(v, 0, b) + IS_F(v, 1, b) + IS_F(v, 2, b) >= QUORUM)

/* Keep the cells of a view in order. */
inline sort(v) {
	if
	:: CELL(v, 0) > CELL(v, 1) -> t = CELL(v, 0); CELL(v, 0) = CELL(v, 1); CELL(v, 1) = t
	:: else
	fi;
	if
	:: CELL(v, 1) > CELL(v, 2) -> t = CELL(v, 1); CELL(v, 1) = CELL(v, 2); CELL(v, 2) = t
	:: else
	fi;
	if
	:: CELL(v, 0) > CELL(v, 1) -> t = CELL(v, 0); CELL(v, 0) = CELL(v, 1); CELL(v, 1) = t
	:: else
	fi;
	t = 0
}

/* ok = the parent p of a block of view v is certified and every view between is nullified. */
inline judge(v, p) {
	ok = true;
	w = p / 2; /* 0 for genesis: p is 1 */
#ifndef NO_PARENT_CHECK
	if
	:: p > 1 ->
		if
		:: !NOTARIZED(w, 1 + p % 2) -> ok = false
		:: else
		fi
	:: else
	fi;
#endif
#ifndef NO_SKIP_CHECK
	w++;
	do
	:: w < v ->
		if
		:: !NULLIFIED(w) -> ok = false
		:: else
		fi;
		w++
	:: else -> break
	od;
#endif
	w = 0
}

/* Blocks are numbered 2 * view + (b - 1); ok = block (v, b) has block a among its ancestors, itself included. */
inline descends(v, b, a) {
	ok = false;
	w = 2 * v + b - 1;
	do
	:: w == a -> ok = true; break
	:: w <= 1 -> break
	:: else -> w = parent[w - 2]
	od;
	w = 0
}

/* After a vote in view v: no two certificates exclude each other, no two final blocks fork. */
inline check(v) {
	assert(!(NOTARIZED(v, 1) && NOTARIZED(v, 2)));
	assert(!(FINAL(v, 1) && FINAL(v, 2)));
	assert(!(NULLIFIED(v) && (FINAL(v, 1) || FINAL(v, 2))));
	x = 1;
	do
	:: x <= VIEWS ->
		y = 1;
		do
		:: y < x ->
			z = 0;
			do
			:: z < 4 ->
				if
				:: FINAL(x, 1 + z / 2) && FINAL(y, 1 + z % 2) ->
					descends(x, 1 + z / 2, 2 * y + z % 2);
					assert(ok);
					ok = false
				:: else
				fi;
				z++
			:: else -> break
			od;
			y++
		:: else -> break
		od;
		x++
	:: else -> break
	od;
	x = 0; y = 0; z = 0
}

active proctype network() {
	byte v, i, b, p, t, w, x, y, z;
	bool ok;

	do
	:: atomic { /* a leader proposes a block, then perhaps another */
		select(v : 1 .. VIEWS);
		b = (PARENT(v, 1) == 0 -> 1 : 2);
		if
		:: PARENT(v, b) == 0 ->
			select(p : 1 .. (2 * v - 1));
			if
			:: p == 1 || PARENT(p / 2, 1 + p % 2) != 0 -> PARENT(v, b) = p
			:: else
			fi
		:: else
		fi;
		v = 0; b = 0; p = 0
	   }
	:: atomic { /* notarize, rule 3 */
		select(v : 1 .. VIEWS);
		select(i : 0 .. (HONEST - 1));
		select(b : 1 .. 2);
		if
#ifdef DOUBLE_NOTARIZE
		:: PARENT(v, b) != 0 && !IS_N(v, i, b) && !IS_X(v, i) ->
#else
		:: PARENT(v, b) != 0 && IS_N(v, i, NONE) && !IS_X(v, i) ->
#endif
			judge(v, PARENT(v, b));
			if
			:: ok -> CELL(v, i) = CELL(v, i) - N_OF(CELL(v, i)) + b; sort(v); check(v)
			:: else
			fi;
			ok = false
		:: else
		fi;
		v = 0; i = 0; b = 0
	   }
	:: atomic { /* finalize, rule 5 */
		select(v : 1 .. VIEWS);
		select(i : 0 .. (HONEST - 1));
		select(b : 1 .. 2);
		if
#ifdef FINALIZE_AFTER_NULLIFY
		:: NOTARIZED(v, b) && IS_F(v, i, NONE) ->
#else
		:: NOTARIZED(v, b) && IS_F(v, i, NONE) && !IS_X(v, i) ->
#endif
			CELL(v, i) = CELL(v, i) + 6 * b; sort(v); check(v)
		:: else
		fi;
		v = 0; i = 0; b = 0
	   }
	:: atomic { /* nullify, rule 6 */
		select(v : 1 .. VIEWS);
		select(i : 0 .. (HONEST - 1));
		if
#ifdef NULLIFY_AFTER_FINALIZE
		:: !IS_X(v, i) ->
#else
		:: !IS_X(v, i) && IS_F(v, i, NONE) ->
#endif
			CELL(v, i) = CELL(v, i) + 3; sort(v); check(v)
		:: else
		fi;
		v = 0; i = 0
	   }
	od
}
